import type { MeterPoint } from "./integrate.ts";
import type { LedgerLine } from "./ledger-file.ts";
import type { SourceDescription } from "./source.ts";

export type StageStatus = "done" | "failed" | "interrupted" | "running";

/** A run of a program. */
export interface Session {
	id: string;
	/** When it began, ISO 8601. */
	at: string;
	source: SourceDescription;
	job?: string;
	/** Power at rest, the newest that was found. */
	idle?: { watts: number; plusMinus: number; how: "measured" | "assumed" };
}

/** A stage or an utterance in one session. */
export interface Span {
	session: string;
	/** Names from the outermost stage to this one. */
	path: string[];
	/** When it began, ISO 8601. */
	at: string;
	from: MeterPoint;
	to: MeterPoint;
	status: StageStatus;
	utterance: boolean;
	/** Of an utterance that is done. */
	audioSeconds?: number;
}

/** A part of a stage: steps or epochs, both ends inclusive. */
export interface Lap {
	session: string;
	path: string[];
	kind: "steps" | "epoch";
	first: number;
	last: number;
	from: MeterPoint;
	to: MeterPoint;
}

/** A ledger's lines, put together. */
export interface Spans {
	sessions: Map<string, Session>;
	spans: Span[];
	laps: Lap[];
}

type OnDisk = Pick<
	Extract<LedgerLine, { event: "start" }>,
	"ns" | "joules" | "coveredSeconds" | "error" | "parts"
>;

function point(line: OnDisk): MeterPoint {
	return {
		atNs: BigInt(line.ns),
		joules: line.joules,
		coveredSeconds: line.coveredSeconds,
		...(line.error && { error: line.error }),
		...(line.parts && { parts: line.parts }),
	};
}

/**
 * Reads lines in their order.
 * @param live the session that is still running, whose open stages are "running", not "interrupted"
 */
export function readSpans(lines: readonly LedgerLine[], live?: string): Spans {
	const sessions = new Map<string, Session>();
	const spans = new Map<string, Span>();
	const laps: Lap[] = [];
	for (const line of lines) {
		const { session: id } = line;
		if (line.event === "session") {
			const { at, source, job } = line;
			sessions.set(id, { id, at, source, ...(job !== undefined && { job }) });
			continue;
		}
		if (line.event === "idle") {
			const { watts, plusMinus, how } = line;
			const session = sessions.get(id);
			if (session) session.idle = { watts, plusMinus, how };
			continue;
		}
		const key = `${id} ${line.stage}`;
		if (line.event === "start") {
			const outer = spans.get(`${id} ${line.parent}`)?.path ?? [];
			spans.set(key, {
				session: id,
				path: [...outer, line.name],
				at: line.at,
				from: point(line),
				to: point(line),
				status: id === live ? "running" : "interrupted",
				utterance: line.kind === "utterance",
			});
			continue;
		}
		const span = spans.get(key);
		if (!span) continue;
		if (line.event === "lap") {
			laps.push({
				session: id,
				path: span.path,
				kind: line.kind,
				first: line.from,
				last: line.to,
				from: point(line.begin),
				to: point(line.end),
			});
			continue;
		}
		span.to = point(line);
		if (line.event !== "end") continue;
		span.status = line.ok ? "done" : "failed";
		if (line.audioSeconds !== undefined) span.audioSeconds = line.audioSeconds;
	}
	return { sessions, spans: [...spans.values()], laps };
}
