import type { TuneSpec } from "@wattvox/cloud-trainer";
import type { InferredOptionTypes } from "yargs";
import type { OptionTable } from "./command.ts";
import { bytesFrom, LEVERS } from "./levers.ts";

/** Flags of `fit` that say what its recipe may say too; none has a default, so that the recipe's holds. */
export const FIT_OPTIONS = {
	steps: { type: "number", describe: "At most so many (500)" },
	lr: { type: "number", describe: "The highest learning rate (0.001)" },
	rank: { type: "number", describe: "Of each pair (8)" },
	alpha: { type: "number", describe: "Scale times rank (twice the rank)" },
	target: {
		type: "array",
		string: true,
		describe:
			"Module paths, or with --full weights: a glob, or an expression between slashes (all)",
	},
	full: { type: "boolean", describe: "Whole weights in place of pairs" },
	rslora: { type: "boolean", describe: LEVERS.rslora.describe },
	"lora-plus": LEVERS["lora-plus"],
	dropout: LEVERS.dropout,
	"validate-every": {
		type: "number",
		describe: "Steps between two validations (50)",
	},
	patience: LEVERS.patience,
	accumulate: LEVERS.accumulate,
	memory: LEVERS.memory,
	precision: LEVERS.precision,
	cache: {
		type: "string",
		describe:
			"Keep so much, such as 500MB, of what the model computes before the first trained weight",
	},
	seed: { type: "number", describe: "Of everything random (1)" },
} as const satisfies OptionTable;

export type FitArgs = InferredOptionTypes<typeof FIT_OPTIONS>;

/**
 * A recipe with the flags in its place. It is checked by `tuneSettings`, not here.
 * @throws WattvoxError E_USAGE for sizes that are none
 */
export function fitSpec(args: FitArgs, recipe: Partial<TuneSpec>): TuneSpec {
	const plus = args["lora-plus"];
	const given: Record<string, unknown> = {
		steps: args.steps,
		rank: args.rank,
		alpha: args.alpha,
		full: args.full,
		rslora: args.rslora,
		dropout: args.dropout,
		validateEvery: args["validate-every"],
		patience: args.patience,
		accumulate: args.accumulate,
		precision: args.precision,
		seed: args.seed,
		targets: args.target?.length ? args.target : undefined,
		memory: args.memory === undefined ? undefined : bytesFrom(args.memory),
		cache:
			args.cache === undefined ? undefined : bytesFrom(args.cache, "cache"),
		groups:
			plus === undefined
				? undefined
				: [{ match: "*.lora_B", rate: plus }, ...(recipe.groups ?? [])],
		schedule:
			args.lr === undefined
				? undefined
				: {
						kind: "cosine",
						warmup: 20,
						...(recipe.schedule as object),
						peak: args.lr,
					},
	};
	const flags = Object.entries(given).filter(([, v]) => v !== undefined);
	return { ...recipe, ...Object.fromEntries(flags) };
}
