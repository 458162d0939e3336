import type { AdaptRequest, RecomputePlan } from "@wattvox/cloud-trainer";
import { WattvoxError } from "@wattvox/core";
import type { Io, OptionTable } from "./command.ts";

/** Switches of every training, each measured by `npm run bench -- levers`. */
export const LEVERS = {
	memory: {
		type: "string",
		describe:
			"Stay below, such as 2GB: activations are computed again as far as needed",
	},
	accumulate: {
		type: "number",
		describe: "Compute each batch in so many parts; the step is the same",
	},
	precision: {
		type: "string",
		choices: ["single", "mixed"],
		describe: "mixed: products in half precision (a gain on GPUs alone)",
	},
	bucketing: {
		type: "boolean",
		default: true,
		describe:
			"Sentences of similar length in a batch; without, each once per epoch",
	},
	batches: {
		type: "number",
		describe:
			"Draw so many batches and repeat them; what adapters cannot change is then computed once",
	},
	batch: { type: "number", describe: "Sentences per step (8)" },
	"learning-rate": {
		type: "number",
		describe: "Highest of the run (0.002; whole weights 0.0005)",
	},
	average: {
		type: "number",
		describe:
			"Decay of a moving average of what is trained, kept in its place (0.95); the rate then stays at its highest",
	},
	"head-start": {
		type: "boolean",
		default: false,
		describe: "Solve the last layer in closed form before the first step",
	},
	refit: {
		type: "boolean",
		default: false,
		describe:
			"Solve the last layer again when training is over; kept unless held-out speech is worse for it",
	},
	"decoder-only": {
		type: "boolean",
		default: false,
		describe:
			"Leave the text side as it is, computed once per sentence and kept; `train` alone",
	},
	targets: {
		type: "string",
		describe: "Which weights: a glob or /expression/ over their names",
	},
	patience: {
		type: "number",
		describe: "Validations without a gain until training ends; 0: never",
	},
	full: {
		type: "boolean",
		alias: "whole",
		default: false,
		describe: "Train whole weights in place of low-rank pairs",
	},
	calibrate: {
		type: "boolean",
		default: true,
		describe: "Match the spread of the clip's spectra when training is over",
	},
	rslora: {
		type: "boolean",
		default: false,
		describe: "Scale pairs by alpha/sqrt(rank)",
	},
	"lora-plus": {
		type: "number",
		describe: "B's learning rate as a multiple of A's (LoRA+); 16 is usual",
	},
	dropout: {
		type: "number",
		describe: "Share of the adapters' inputs that a step does without",
	},
	sampler: {
		type: "boolean",
		default: false,
		describe: "Stretches of 1 to 5 s, drawn anew in each epoch",
	},
	"sampler-seconds": {
		type: "string",
		describe: "Shortest and longest stretch, such as 1:5; implies --sampler",
	},
	"sampler-jitter": {
		type: "number",
		describe: "Seconds by which a stretch may move either way (0.5)",
	},
	"sampler-spacing": {
		type: "number",
		describe: "Least seconds between the starts of two stretches (1)",
	},
	"gradient-clip": {
		type: "number",
		default: 1,
		describe: "Largest norm of all gradients together; 0: any",
	},
	"drift-warn": {
		type: "number",
		describe: "Warn when content's cosine to the base falls below",
	},
	"drift-stop": {
		type: "number",
		describe: "End training when it falls below",
	},
} as const satisfies OptionTable;

/** The switches as parsed. */
export interface LeverArgs {
	memory?: string | undefined;
	accumulate?: number | undefined;
	precision?: string | undefined;
	bucketing: boolean;
	batches?: number | undefined;
	batch?: number | undefined;
	"learning-rate"?: number | undefined;
	average?: number | undefined;
	"head-start": boolean;
	refit: boolean;
	"decoder-only": boolean;
	targets?: string | undefined;
	patience?: number | undefined;
	full: boolean;
	calibrate: boolean;
	rslora: boolean;
	"lora-plus"?: number | undefined;
	dropout?: number | undefined;
	sampler: boolean;
	"sampler-seconds"?: string | undefined;
	"sampler-jitter"?: number | undefined;
	"sampler-spacing"?: number | undefined;
	"gradient-clip": number;
	"drift-warn"?: number | undefined;
	"drift-stop"?: number | undefined;
}

/** "2GB", "800 MB", "1.5GiB" in bytes. @throws WattvoxError E_USAGE naming the option */
export function bytesFrom(text: string, option = "memory"): number {
	const match = /^([\d.]+)\s*([kmg])(i?)b?$/i.exec(text.trim());
	const size = Number(match?.[1]);
	if (!match || !(size > 0))
		throw new WattvoxError("E_USAGE", `--${option} ${text}: give it like 2GB`);
	const power = "kmg".indexOf((match[2] as string).toLowerCase()) + 1;
	return Math.round(size * (match[3] ? 1024 : 1000) ** power);
}

/** How stretches are drawn; undefined: they are not. @throws WattvoxError E_USAGE */
function samplerFrom(args: LeverArgs): AdaptRequest["sampler"] {
	const {
		"sampler-seconds": range,
		"sampler-jitter": jitter = 0.5,
		"sampler-spacing": spacing = 1,
	} = args;
	const own = [range, args["sampler-jitter"], args["sampler-spacing"]];
	if (own.every((v) => v === undefined)) return args.sampler || undefined;
	const [min = 1, max = 5] = range?.split(":").map(Number) ?? [];
	if (!(min > 0 && max >= min))
		throw new WattvoxError(
			"E_USAGE",
			`--sampler-seconds ${range}: give it like 1:5`,
		);
	if (!(jitter >= 0 && spacing > 0))
		throw new WattvoxError(
			"E_USAGE",
			"--sampler-jitter must be 0 or above, --sampler-spacing above 0",
		);
	return { min, max, jitter, spacing };
}

/** What an adaptation is asked for. @throws WattvoxError E_USAGE for values out of range */
export function leverRequest(args: LeverArgs, io: Io): AdaptRequest {
	const whole = (
		name: "accumulate" | "batches" | "batch" | "patience",
		least: number,
	) => {
		const value = args[name];
		if (value !== undefined && !(Number.isInteger(value) && value >= least))
			throw new WattvoxError(
				"E_USAGE",
				`--${name} must be a whole number from ${least}`,
			);
		return value === undefined ? {} : { [name]: value };
	};
	const between = (
		name: "average" | "dropout" | "drift-warn" | "drift-stop",
	) => {
		const value = args[name];
		if (value !== undefined && !(value >= 0 && value < 1))
			throw new WattvoxError("E_USAGE", `--${name} must be from 0 to below 1`);
		return value;
	};
	const plus = args["lora-plus"];
	if (plus !== undefined && !(plus > 0))
		throw new WattvoxError("E_USAGE", "--lora-plus must be above 0");
	const [average, dropout, warn, stop] = [
		between("average"),
		between("dropout"),
		between("drift-warn"),
		between("drift-stop"),
	];
	const sampler = samplerFrom(args);
	const { patience, "gradient-clip": clip, "learning-rate": rate } = args;
	if (rate !== undefined && !(rate > 0))
		throw new WattvoxError("E_USAGE", "--learning-rate must be above 0");
	if (args["decoder-only"] && sampler)
		throw new WattvoxError(
			"E_USAGE",
			"--decoder-only keeps whole sentences: leave --sampler out",
		);
	if (!(clip >= 0))
		throw new WattvoxError("E_USAGE", "--gradient-clip must be 0 or above");
	for (const name of ["rslora", "lora-plus", "dropout"] as const)
		if (args.full && args[name])
			throw new WattvoxError(
				"E_USAGE",
				`--${name} is of low-rank pairs, and --full trains none`,
			);
	return {
		...whole("accumulate", 1),
		...whole("batches", 1),
		...whole("batch", 1),
		...(rate !== undefined && { learningRate: rate }),
		...(average !== undefined && { average }),
		...(args["head-start"] && { headStart: true }),
		...(args.refit && { refit: true }),
		...(args["decoder-only"] && { decoderOnly: true }),
		...whole("patience", 0),
		...(patience === 0 && { patience: Number.POSITIVE_INFINITY }),
		...(args.memory !== undefined && { memory: bytesFrom(args.memory) }),
		...(args.precision === "mixed" && { precision: "mixed" as const }),
		...(!args.bucketing && { anyLength: true }),
		...(args.targets !== undefined && { targets: args.targets }),
		...(args.full && { full: true }),
		...(!args.calibrate && { calibrate: false }),
		...(args.rslora && { rsLora: true }),
		...(plus !== undefined && { loraPlus: plus }),
		...(dropout !== undefined && { dropout }),
		...(sampler && { sampler }),
		...(clip !== 1 && { gradientClip: clip || Number.POSITIVE_INFINITY }),
		...((warn !== undefined || stop !== undefined) && {
			drift: {
				warn: warn ?? stop ?? 0,
				...(stop !== undefined && { stop }),
			},
			onDrift: ({ step, mean, lowest, verdict }) => {
				if (verdict !== "fine")
					io.progress.note(
						`step ${step}: content has turned away from the base, cosine ${mean.toFixed(3)} (lowest ${lowest.toFixed(3)})${verdict === "stop" ? "; training ends" : ""}`,
					);
			},
		}),
		onPlan: planNote(io),
	};
}

/**
 * The lean way beside other flags: held-out speech is asked at its end alone, unless something is asked for
 * that looks at it on the way.
 */
export function leanly(
	{ validateEvery, ...lean }: AdaptRequest,
	args: Pick<LeverArgs, "patience" | "drift-warn" | "drift-stop">,
): AdaptRequest {
	const watched =
		args.patience ?? args["drift-warn"] ?? args["drift-stop"] ?? null;
	return watched === null && validateEvery !== undefined
		? { ...lean, validateEvery }
		: lean;
}

/** Tells where activations are computed again. */
export const planNote =
	(io: Io) =>
	(plan: RecomputePlan): void => {
		const mega = (n: number) => `${Math.round(n / 1e6)} MB`;
		io.progress.note(
			`activations computed again in ${plan.cuts.length + 1} segments: about ${mega(plan.activations)} in place of ${mega(plan.plain)} (estimates)${plan.reached ? "" : "; the memory asked for is not enough"}`,
		);
	};
