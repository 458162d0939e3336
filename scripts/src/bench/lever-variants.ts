import { LEAN, WHOLE_RATE } from "@wattvox/cloud-trainer";
import type { LeverTask } from "./lever-child.ts";

/** One training of the benchmark. */
export type Variant = Pick<LeverTask, "levers"> &
	Partial<Omit<LeverTask, "run" | "threads" | "seed" | "until">> & {
		/** The variant that it is compared with. */
		against: string;
		/** Ends where this one was best: to what its energy is compared. */
		reach?: string;
		/** Variants whose result it needs. */
		after?: readonly string[];
		/** Runs only when it is asked for by name: how a setting of another variant was chosen. */
		tuning?: boolean;
	};

const DECODER = "/^decoder\\..*\\.w$/";
/** Every product that has a say in the mels: the durations' are left out. */
const MEL = "/^(decoder|text\\.(local|trunk|cond|prompt|content|out)).*\\.w$/";
/** Validations close enough together to see when a value is reached; the same patience in steps. */
const FINE = { validateEvery: 10, patience: 6 };

/** The rate at which whole weights came nearest in so few steps, of a half, this and others. */
const FULL_RATE = 2 * WHOLE_RATE;
const FULL_STEPS = 140;
/**
 * Full fine-tuning at the setting that came nearest; its other settings are rows of their own. What is no
 * lever of ours (batch, rate, threads) is as free for it as for "all together".
 */
const FULL: Variant["levers"] = {
	...{ full: true, learningRate: FULL_RATE, threads: 1 },
	...FINE,
};

/** Full fine-tuning with another setting. */
const whole = (levers: Variant["levers"]): Variant => ({
	levers: { ...FULL, ...levers },
	steps: FULL_STEPS,
	against: "full",
	after: ["full"],
	tuning: true,
});

/** Each lever alone, beside what it is compared with; the order is that in which they run. */
export const VARIANTS: Readonly<Record<string, Variant>> = {
	// A step that moves nothing: where gains are counted from.
	base: { levers: { learningRate: 0 }, steps: 1, against: "base" },
	"student base": {
		levers: { learningRate: 0 },
		model: "student",
		steps: 1,
		against: "base",
	},
	full: {
		levers: FULL,
		steps: FULL_STEPS,
		against: "plain",
	},
	plain: { levers: {}, keep: true, against: "plain" },
	"lora 2.5 %": {
		levers: {
			...{ targets: MEL, rank: 4, anyLength: true, batch: 4, threads: 1 },
			...{ learningRate: 6e-3, average: 0.97 },
			...FINE,
		},
		steps: 130,
		against: "full",
	},
	recomputation: { levers: { memory: 1 }, against: "plain" },
	accumulation: { levers: { accumulate: 4 }, against: "plain" },
	mixed: { levers: { precision: "mixed" }, against: "plain" },
	"any length": { levers: { anyLength: true }, against: "plain" },
	"no early stop": { levers: {}, patient: true, against: "plain" },
	dropout: { levers: { dropout: 0.1 }, against: "plain" },
	"lora plus": { levers: { loraPlus: 4 }, against: "plain" },
	sampler: { levers: { sampler: true }, against: "plain" },
	decoder: { levers: { targets: DECODER }, against: "plain" },
	"prefix kept": {
		levers: { targets: DECODER, batches: 16 },
		against: "decoder",
	},
	"text side kept": { levers: { decoderOnly: true }, against: "decoder" },
	"head start": { levers: { headStart: true }, against: "plain" },
	average: { levers: { average: 0.95 }, against: "plain" },
	refit: { levers: { refit: true }, against: "plain" },
	"small batches": { levers: { batch: 2 }, against: "plain" },
	student: { levers: {}, model: "student", against: "plain" },
	distilled: {
		levers: {},
		model: "distilled",
		against: "student",
		after: ["plain"],
	},
	"all together": {
		// Its end decides, where the last layer is solved again.
		levers: LEAN,
		model: "student",
		steps: LEAN.steps,
		against: "full",
		reach: "full",
		after: ["full"],
	},
	// What the levers that are no matter of low rank would do for it.
	"full averaged": whole({ average: 0.95 }),
	"full refitted": whole({ average: 0.95, refit: true }),
	// What it would be with another rate or size of batch.
	"full at half the rate": whole({ learningRate: FULL_RATE / 2 }),
	"full at twice the rate": whole({ learningRate: 2 * FULL_RATE }),
	"full in turn": whole({ anyLength: true }),
	"full by two threads": whole({ threads: 2 }),
	"full of 4": whole({ batch: 4 }),
	"full of 4 at half the rate": whole({
		batch: 4,
		learningRate: FULL_RATE / 2,
	}),
	"full of 2 at half the rate": whole({
		batch: 2,
		learningRate: FULL_RATE / 2,
	}),
};

/** The variants that run when none is named. */
export const USUAL = Object.keys(VARIANTS).filter(
	(name) => !VARIANTS[name]?.tuning,
);

/** The variants that are asked for, with those that they need, in the order in which they run. */
export function chosen(names: readonly string[]): string[] {
	const wanted = new Set(names);
	for (const name of names)
		for (const needed of VARIANTS[name]?.after ?? []) wanted.add(needed);
	return Object.keys(VARIANTS).filter((name) => wanted.has(name));
}
