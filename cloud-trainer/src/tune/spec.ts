import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { lossSchema } from "../losses/spec.ts";
import { ADAMW } from "../train/adamw.ts";
import { groupSchema } from "../train/groups.ts";
import { scheduleSchema } from "../train/schedule.ts";

const whole = z.number().int().positive();
const patterns = z.union([z.string(), z.array(z.string()).min(1)]);
const table = z.record(z.string(), z.number().positive());

/** How any model is fine-tuned, as data: the file that `wattvox fit --recipe` reads. */
export const tuneSchema = z.strictObject({
	/** Terms of the loss; without them the model's own scalar output `loss` is lowered. */
	losses: z.array(lossSchema).min(1).optional(),
	/** Name of the model's own loss. */
	loss: z.string().min(1).default("loss"),
	steps: whole.default(500),
	schedule: scheduleSchema.default({
		kind: "cosine",
		peak: 1e-3,
		warmup: 20,
		floor: 0,
	}),
	groups: z.array(groupSchema).default([]),
	adamw: z
		.strictObject({
			beta1: z.number().min(0).lt(1).default(ADAMW.beta1),
			beta2: z.number().min(0).lt(1).default(ADAMW.beta2),
			epsilon: z.number().positive().default(ADAMW.epsilon),
			weightDecay: z.number().min(0).default(ADAMW.weightDecay),
			clip: z.number().positive().default(ADAMW.clip),
		})
		.default(ADAMW),
	/** Whole weights in place of pairs. */
	full: z.boolean().default(false),
	/** Module paths or weights: globs, or expressions between slashes. */
	targets: patterns.default("*"),
	rank: whole.default(8),
	/** Scale times rank; twice the rank when absent. */
	alpha: z.number().positive().optional(),
	rslora: z.boolean().default(false),
	rankPattern: table.default({}),
	alphaPattern: table.default({}),
	/** Share of the adapters' inputs that a step does without. */
	dropout: z.number().min(0).lt(1).default(0),
	/** Steps between two validations. */
	validateEvery: whole.default(50),
	/** Validations without a gain until training ends; 0: never. */
	patience: z.number().int().min(0).default(5),
	/** Share of the loss that counts as a gain. */
	gain: z.number().min(0).default(0.002),
	/** Parts that a batch is computed in. */
	accumulate: whole.default(1),
	/** Bytes to stay below by computing activations again. */
	memory: whole.optional(),
	precision: z.enum(["single", "mixed"]).default("single"),
	/** Bytes of what lies before the first trained weight that are kept; 0: nothing. */
	cache: z.number().int().min(0).default(0),
	seed: z.number().int().default(1),
});

/** A description as a caller writes it. */
export type TuneSpec = z.input<typeof tuneSchema>;
/** With every default in place. */
export type TuneSettings = z.output<typeof tuneSchema>;

/** @throws WattvoxError E_USAGE naming what is wrong and where */
export function tuneSettings(spec: unknown): TuneSettings {
	const parsed = tuneSchema.safeParse(spec);
	if (parsed.success) return parsed.data;
	throw new WattvoxError("E_USAGE", `recipe: ${z.prettifyError(parsed.error)}`);
}
