import type { LeverPoint, LeverResult } from "./lever-child.ts";

/** A variant's result under its name. */
export type LeverRow = LeverResult & { lever: string; against: string };

/** A goal, and what was found. */
export interface Goal {
	goal: string;
	found: string;
	/** Null when a variant it needs was left out. */
	met: boolean | null;
}

/** The best validation. */
export function best(row: Pick<LeverResult, "curve">): LeverPoint | undefined {
	return row.curve.reduce<LeverPoint | undefined>(
		(a, b) => (a && a.mel <= b.mel ? a : b),
		undefined,
	);
}

/** The first validation that is no worse than a value. */
export const reached = (
	row: Pick<LeverResult, "curve">,
	mel: number,
): LeverPoint | undefined => row.curve.find((p) => p.mel <= mel);

/** Every goal of training, judged on the rows there are. */
export function goals(rows: readonly LeverRow[]): Goal[] {
	const row = (name: string) => rows.find((r) => r.lever === name);
	return [
		lora(row("base"), row("full"), row("lora 2.5 %")),
		recomputation(row("plain"), row("recomputation")),
		student(row("plain"), row("student"), row("distilled")),
		together(row("full"), row("all together")),
	];
}

const share = (value: number) => `${(100 * value).toFixed(1)} %`;
const missing = (goal: string): Goal => ({
	goal,
	found: "not measured",
	met: null,
});

function lora(base?: LeverRow, full?: LeverRow, pairs?: LeverRow): Goal {
	const goal =
		"LoRA trains <= 2.5 % of the parameters at >= 95 % of full fine-tuning's gain";
	const [from, whole, low] = [base, full, pairs].map((r) => r && best(r));
	if (!from || !whole || !low || !pairs) return missing(goal);
	const trained = pairs.parameters / pairs.size;
	const gain = (from.mel - low.mel) / (from.mel - whole.mel);
	return {
		goal,
		found: `${share(trained)} of them, ${share(gain)} of the gain (${from.mel.toFixed(3)} to ${low.mel.toFixed(3)}; full to ${whole.mel.toFixed(3)})`,
		met: trained <= 0.025 && gain >= 0.95,
	};
}

function recomputation(plain?: LeverRow, again?: LeverRow): Goal {
	const goal = "Recomputation halves peak memory for <= 30 % time";
	if (!plain || !again) return missing(goal);
	const memory = again.peak / plain.peak;
	const time = again.stepMs / plain.stepMs;
	const mega = (bytes: number) => (bytes / 1e6).toFixed(0);
	if ([plain, again].some((r) => r.memory.building >= r.memory.peak))
		return {
			goal,
			found: "building the graphs took more memory than the steps",
			met: null,
		};
	return {
		goal,
		found: `${memory.toFixed(2)} x the memory (${mega(again.peak)} MB of steps against ${mega(plain.peak)}, above ${mega(again.memory.ready)} and ${mega(plain.memory.ready)} that are there before the first), ${time.toFixed(2)} x the time of a step`,
		met: memory <= 0.5 && time <= 1.3,
	};
}

/** Kept is the teacher's held-out distance as a share of the student's: 1 when both are as near. */
function student(
	teacher?: LeverRow,
	direct?: LeverRow,
	distilled?: LeverRow,
): Goal {
	const goal =
		"The student keeps >= 90 % of the teacher's quality at <= 30 % of its parameters";
	const of = distilled ?? direct;
	const [big, small] = [teacher, of].map((r) => r && best(r));
	if (!big || !small || !teacher || !of) return missing(goal);
	const size = of.size / teacher.size;
	const kept = big.mel / small.mel;
	return {
		goal,
		found: `${share(kept)} (${of.lever}: ${small.mel.toFixed(3)}, the teacher ${big.mel.toFixed(3)}) at ${share(size)}`,
		met: kept >= 0.9 && size <= 0.3,
	};
}

/** Both energies are those up to the validation that reached the value, start of the process included. */
function together(full?: LeverRow, all?: LeverRow): Goal {
	const goal =
		"All levers together: <= 1/10 of the energy of full fine-tuning to the same metric";
	const [wanted, low] = [full, all].map((r) => r && best(r));
	if (!wanted || !low || !full || !all) return missing(goal);
	// Where the levers do not get as far, both are judged at the best that they reach.
	const mel = Math.max(wanted.mel, low.mel);
	const [a, b] = [reached(full, mel), reached(all, mel)];
	if (!a?.joules || !b?.joules) return missing(goal);
	const ratio = b.joules / a.joules;
	const got = low.mel <= wanted.mel;
	return {
		goal,
		found: `${ratio.toFixed(3)} x (${b.joules.toFixed(0)} J against ${a.joules.toFixed(0)} J${full.measured ? "" : ", estimated"}) to ${mel.toFixed(3)}${got ? "" : `; full fine-tuning's best, ${wanted.mel.toFixed(3)}, is not reached`}`,
		met: got && ratio <= 0.1,
	};
}
