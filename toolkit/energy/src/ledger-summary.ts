import { between, type Energy, type MeterPoint } from "./integrate.ts";
import type { LedgerLine } from "./ledger-file.ts";
import type { SourceDescription } from "./source.ts";

export type StageStatus = "done" | "failed" | "interrupted" | "running";

/** One row of the table: a stage, all its sessions together. */
export interface StageRow extends Energy {
	name: string;
	/** Names from the outermost stage to this one. */
	path: string[];
	/** True only when every joule comes from a sensor. */
	measured: boolean;
	sensor: string;
	/** How its latest session ended. */
	status: StageStatus;
}

export interface LedgerSummary {
	/** A stage before its inner stages; inner ones are part of the outer's figures. */
	stages: StageRow[];
	/** Outermost stages together; time when two of them overlapped is counted once. */
	total: Energy & { measured: boolean; sensor: string };
	/** The sources the sessions used. */
	sources: SourceDescription[];
}

interface Span {
	session: string;
	path: string[];
	from: MeterPoint;
	to: MeterPoint;
	status: StageStatus;
}

/**
 * Table data from ledger lines.
 * @param live the session that is still running, whose open stages are "running", not "interrupted"
 */
export function summarise(
	lines: readonly LedgerLine[],
	live?: string,
): LedgerSummary {
	const sources = new Map<string, SourceDescription>();
	const spans = new Map<string, Span>();
	for (const line of lines) {
		if (line.event === "session") {
			sources.set(line.session, line.source);
			continue;
		}
		const key = `${line.session} ${line.stage}`;
		const point: MeterPoint = {
			atNs: BigInt(line.ns),
			joules: line.joules,
			coveredSeconds: line.coveredSeconds,
			...(line.error && { error: line.error }),
			...(line.parts && { parts: line.parts }),
		};
		if (line.event === "start") {
			const outer = spans.get(`${line.session} ${line.parent}`)?.path ?? [];
			spans.set(key, {
				session: line.session,
				path: [...outer, line.name],
				from: point,
				to: point,
				status: line.session === live ? "running" : "interrupted",
			});
			continue;
		}
		const span = spans.get(key);
		if (!span) continue;
		span.to = point;
		if (line.event === "end") span.status = line.ok ? "done" : "failed";
	}
	const all = [...spans.values()];
	return {
		stages: rows(all, sources),
		total: add(union(all.filter((s) => s.path.length === 1)), sources),
		sources: [
			...new Map([...sources.values()].map((s) => [JSON.stringify(s), s])),
		].map(([, source]) => source),
	};
}

function rows(
	spans: readonly Span[],
	sources: ReadonlyMap<string, SourceDescription>,
): StageRow[] {
	const groups = new Map<string, Span[]>();
	for (const span of spans) {
		const key = JSON.stringify(span.path);
		const group = groups.get(key);
		if (group) group.push(span);
		else groups.set(key, [span]);
	}
	const list = [...groups.values()].map((group): StageRow => {
		const last = group[group.length - 1] as Span;
		return {
			name: last.path[last.path.length - 1] as string,
			path: last.path,
			...add(union(group), sources),
			status: last.status,
		};
	});
	return inTreeOrder(list);
}

/** Parents before children, siblings in the order they first began. */
function inTreeOrder(list: readonly StageRow[]): StageRow[] {
	const within = (prefix: readonly string[]): StageRow[] =>
		list
			.filter(
				(row) =>
					row.path.length === prefix.length + 1 &&
					prefix.every((name, i) => row.path[i] === name),
			)
			.flatMap((row) => [row, ...within(row.path)]);
	return within([]);
}

type Stretch = Pick<Span, "session" | "from" | "to">;

/** Overlapping spans of one session merged: their ends are points of one rising curve. */
function union(spans: readonly Span[]): Stretch[] {
	const merged: Stretch[] = [];
	const ordered = [...spans].sort((a, b) =>
		a.session === b.session
			? Number(a.from.atNs - b.from.atNs)
			: a.session < b.session
				? -1
				: 1,
	);
	for (const { session, from, to } of ordered) {
		const last = merged[merged.length - 1];
		if (last?.session !== session || from.atNs > last.to.atNs)
			merged.push({ session, from, to });
		else if (to.atNs > last.to.atNs) last.to = to;
	}
	return merged;
}

function add(
	stretches: readonly Stretch[],
	sources: ReadonlyMap<string, SourceDescription>,
): Energy & { measured: boolean; sensor: string } {
	let joules: number | null = null;
	let seconds = 0;
	let covered = 0;
	let plusMinus: number | null = 0;
	const sensors = new Set<string>();
	let measured = stretches.length > 0;
	for (const { session, from, to } of stretches) {
		const energy = between(from, to);
		if (energy.joules !== null) {
			joules = (joules ?? 0) + energy.joules;
			// Straight, not by squares: what the ends of intervals hide may all lie on one side.
			plusMinus =
				plusMinus === null || energy.plusMinus === null
					? null
					: plusMinus + energy.plusMinus;
		}
		seconds += energy.seconds;
		covered += energy.seconds * energy.coverage;
		const source = sources.get(session);
		if (source) sensors.add(source.sensor);
		measured &&= source?.measured ?? false;
	}
	return {
		joules,
		seconds,
		coverage: seconds > 0 ? covered / seconds : 0,
		plusMinus: joules === null ? null : plusMinus,
		measured,
		sensor: [...sensors].join(" + ") || "none",
	};
}
