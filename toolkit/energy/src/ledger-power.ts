import type { LedgerLine } from "./ledger-file.ts";
import { readSpans } from "./ledger-spans.ts";

/** Mean power between two neighbouring notes of a ledger. */
export interface PowerStep {
	/** Seconds since the ledger's first note, without the time between sessions. */
	from: number;
	to: number;
	/** null: not covered. */
	watts: number | null;
}

/** Power over time, as finely as the ledger noted it (every 5 s, and at each stage's ends). */
export function powerSteps(lines: readonly LedgerLine[]): PowerStep[] {
	const { spans, laps } = readSpans(lines);
	const points = new Map<string, Map<bigint, [number, number]>>();
	const note = (
		session: string,
		at: { ns: string; joules: number; coveredSeconds: number },
	) => {
		const known = points.get(session) ?? new Map();
		points.set(session, known);
		known.set(BigInt(at.ns), [at.joules, at.coveredSeconds]);
	};
	for (const line of lines)
		if (line.event === "lap") {
			note(line.session, line.begin);
			note(line.session, line.end);
		} else if ("ns" in line) note(line.session, line);
	if (spans.length + laps.length === 0) return [];
	const steps: PowerStep[] = [];
	let clock = 0;
	for (const known of points.values()) {
		const sorted = [...known].sort(([a], [b]) => (a < b ? -1 : 1));
		for (const [i, [ns, [joules, covered]]] of sorted.entries()) {
			const before = sorted[i - 1];
			if (!before) continue;
			const seconds = Number(ns - before[0]) / 1e9;
			const seen = covered - before[1][1];
			steps.push({
				from: clock,
				to: clock + seconds,
				watts: seen > 0.5 * seconds ? (joules - before[1][0]) / seen : null,
			});
			clock += seconds;
		}
	}
	return steps;
}
