import { between, type Energy, type MeterPoint } from "./integrate.ts";
import type { LedgerLine } from "./ledger-file.ts";
import {
	type Lap,
	readSpans,
	type Session,
	type Span,
	type StageStatus,
} from "./ledger-spans.ts";
import type { SourceDescription } from "./source.ts";

export type { StageStatus } from "./ledger-spans.ts";

/** What some time has cost, in all and above the resting machine. */
export interface Cost extends Energy {
	/**
	 * Joules above what the machine draws at rest, with their interval; null where the power at rest or
	 * the joules are not known.
	 */
	aboveIdle: { joules: number; plusMinus: number | null } | null;
	/** True only when every joule comes from a sensor. */
	measured: boolean;
	sensor: string;
}

/** One row of the table: a stage, all its sessions together. */
export interface StageRow extends Cost {
	name: string;
	/** Names from the outermost stage to this one. */
	path: string[];
	/** How its latest session ended. */
	status: StageStatus;
}

/** Steps or epochs of a stage. */
export interface LapRow extends Cost {
	path: string[];
	kind: Lap["kind"];
	first: number;
	last: number;
}

/** Utterances: their time and joules are a share of busy time where several overlap. */
export interface UtteranceRow extends Cost {
	path: string[];
	name: string;
	/** null: it was not spoken to its end. */
	audioSeconds: number | null;
}

export interface LedgerSummary {
	/** A stage before its inner stages; inner ones are part of the outer's figures. */
	stages: StageRow[];
	/** Outermost stages together; time when two of them overlapped is counted once. */
	total: Cost;
	/** The sources the sessions used. */
	sources: SourceDescription[];
	/** What the sessions were for, in order, each once. */
	jobs: string[];
	/** In the order in which they ended. */
	laps: LapRow[];
	utterances: UtteranceRow[];
}

/**
 * Table data from ledger lines.
 * @param live the session that is still running, whose open stages are "running", not "interrupted"
 */
export function summarise(
	lines: readonly LedgerLine[],
	live?: string,
): LedgerSummary {
	const { sessions, spans, laps } = readSpans(lines, live);
	const all = [...sessions.values()];
	const unique = <T>(of: readonly T[]) => [
		...new Map(of.map((o) => [JSON.stringify(o), o])).values(),
	];
	return {
		stages: rows(
			spans.filter((s) => !s.utterance),
			sessions,
		),
		total: add(union(spans.filter((s) => s.path.length === 1)), sessions),
		sources: unique(all.map((s) => s.source)),
		jobs: unique(all.flatMap((s) => s.job ?? [])),
		laps: laps.map(({ path, kind, first, last, ...stretch }) => ({
			path,
			kind,
			first,
			last,
			...add([stretch], sessions),
		})),
		utterances: spans
			.filter((s) => s.utterance)
			.map((span) => ({
				path: span.path,
				name: span.path.at(-1) ?? "",
				audioSeconds: span.audioSeconds ?? null,
				...add([span], sessions),
			})),
	};
}

type Sessions = ReadonlyMap<string, Session>;

function rows(spans: readonly Span[], sessions: Sessions): StageRow[] {
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
			...add(union(group), sessions),
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

/** Part of a session: two points of one rising curve. */
export interface Stretch {
	session: string;
	from: MeterPoint;
	to: MeterPoint;
}

/** Overlapping spans of one session merged: their ends are points of one rising curve. */
export function union(spans: readonly Stretch[]): Stretch[] {
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

/** Stretches together. null and 0 are kept apart: what nobody knows is null. */
export function add(stretches: readonly Stretch[], sessions: Sessions): Cost {
	let [seconds, covered] = [0, 0];
	let joules: number | null = null;
	let plusMinus: number | null = 0;
	let idleJoules: number | null = 0;
	let idlePlusMinus = 0;
	let measured = stretches.length > 0;
	const sensors = new Set<string>();
	for (const { session, from, to } of stretches) {
		const energy = between(from, to);
		const { source, idle } = sessions.get(session) ?? {};
		const coveredSeconds = energy.seconds * energy.coverage;
		seconds += energy.seconds;
		covered += coveredSeconds;
		if (source) sensors.add(source.sensor);
		measured &&= source?.measured ?? false;
		if (energy.joules === null) continue;
		joules = (joules ?? 0) + energy.joules;
		// Straight, not by squares: what the ends of intervals hide may all lie on one side.
		plusMinus = sum(plusMinus, energy.plusMinus);
		idleJoules = sum(idleJoules, idle ? idle.watts * coveredSeconds : null);
		idlePlusMinus += (idle?.plusMinus ?? 0) * coveredSeconds;
	}
	return {
		joules,
		seconds,
		coverage: seconds > 0 ? covered / seconds : 0,
		// The error of an estimate is its assumption's, which nobody knows: sampling is the least of it.
		plusMinus: joules === null || !measured ? null : plusMinus,
		aboveIdle:
			joules === null || idleJoules === null
				? null
				: {
						joules: joules - idleJoules,
						plusMinus: measured ? sum(plusMinus, idlePlusMinus) : null,
					},
		measured,
		sensor: [...sensors].join(" + ") || "none",
	};
}

/** Unknown as soon as one of them is. */
function sum(a: number | null, b: number | null): number | null {
	return a === null || b === null ? null : a + b;
}
