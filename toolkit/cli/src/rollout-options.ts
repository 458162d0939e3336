import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import type { RolloutSpec } from "@wattvox/fleet";
import type { InferredOptionTypes } from "yargs";
import { BROKER_OPTIONS } from "./broker-options.ts";
import type { OptionTable } from "./command.ts";
import { DATA_OPTIONS } from "./commands/fleet-serve.ts";

/** Where rollouts are kept: below the data folder, where the dashboard finds them. */
export const rolloutsDir = (data: string) => join(data, "rollouts");

/** Milliseconds of "90s", "15m", "2h" or "1d". @throws WattvoxError E_USAGE */
export function parseDuration(text: string): number {
	const [, count, unit = ""] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? [];
	const ms = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit];
	if (count === undefined || ms === undefined)
		throw new WattvoxError("E_USAGE", `"${text}" is no time: say 90s, 15m, 2h`);
	return Number(count) * ms;
}

/** A share from "2%" or "0.02". @throws WattvoxError E_USAGE */
export function parseShare(text: string): number {
	const [, count, percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text.trim()) ?? [];
	const share = Number(count) / (percent ? 100 : 1);
	if (!(share >= 0 && share <= 1))
		throw new WattvoxError("E_USAGE", `"${text}" is no share: say 5% or 0.05`);
	return share;
}

/** Cumulative shares: rising, the last is all. @throws WattvoxError E_USAGE */
export function parseWaves(text: string): number[] {
	const waves = text.split(",").map(parseShare);
	if (waves.some((w, i) => w <= (waves[i - 1] ?? 0)) || waves.at(-1) !== 1)
		throw new WattvoxError(
			"E_USAGE",
			`"${text}" are no waves: rising shares up to 100%, such as 2%,10%,50%,100%`,
		);
	return waves;
}

/** Shares by fault: "silent=1%", "golden=0.02". @throws WattvoxError E_USAGE */
export function parseFaults(
	given: readonly string[],
	known: readonly string[],
): Record<string, number> {
	return Object.fromEntries(
		given.map((text) => {
			const [name = "", share = ""] = text.split("=", 2);
			if (!known.includes(name))
				throw new WattvoxError(
					"E_USAGE",
					`--fault ${text}: there are ${known.join(", ")}, such as golden=2%`,
				);
			return [name, parseShare(share)];
		}),
	);
}

/** What a runner needs beside the rollout: shared by start and resume. */
export const RUNNER_OPTIONS = {
	data: DATA_OPTIONS.data,
	key: {
		type: "string",
		describe: "The fleet's private key: signs what devices are told",
	},
	root: {
		type: "string",
		describe:
			"Root file that says which key signs what; devices are told of its newest root",
	},
	stay: {
		type: "boolean",
		default: false,
		describe: "Go on when it is done: for devices that join later or fall back",
	},
	...BROKER_OPTIONS,
} as const satisfies OptionTable;

/** What a rollout is to do. */
export const SPEC_OPTIONS = {
	fleet: { type: "string", default: "home", describe: "The fleet's id" },
	device: {
		type: "array",
		string: true,
		default: [],
		describe: "Only these; by default every device that is heard of",
	},
	class: {
		type: "array",
		string: true,
		default: [],
		describe: "Only devices of this class; by default of any",
	},
	waves: {
		type: "string",
		default: "2%,10%,50%,100%",
		describe:
			"Shares of the fleet at the end of each wave; the first is the canary",
	},
	deadline: {
		type: "string",
		default: "15m",
		describe: "A device that does not speak with it by then has failed",
	},
	soak: {
		type: "string",
		default: "10m",
		describe: "A settled wave is watched this long",
	},
	"max-failed": {
		type: "string",
		default: "5%",
		describe: "Share of a wave that may fail",
	},
	"max-energy": {
		type: "string",
		default: "10%",
		describe:
			"More joules per second of speech than the control that are still well; only measured devices count",
	},
	"require-energy": {
		type: "boolean",
		default: false,
		describe: "Hold a wave for which too few measured devices spoke",
	},
	"least-devices": {
		type: "number",
		default: 5,
		describe: "Measured devices that each group of the energy gate needs",
	},
	"least-speech": {
		type: "string",
		default: "10s",
		describe: "and speech that each of them needs",
	},
	tries: {
		type: "number",
		default: 3,
		describe: "A failed device is offered it so often in all",
	},
	retry: {
		type: "string",
		default: "30m",
		describe: "and again after so long",
	},
	previous: {
		type: "string",
		describe: "Digest that `abort --back` goes back to",
	},
} as const satisfies OptionTable;

/**
 * The options as a rollout's specification, all but its name and bundle.
 * @throws WattvoxError E_USAGE
 */
export function readSpec(
	args: InferredOptionTypes<typeof SPEC_OPTIONS>,
	defaults: Omit<
		RolloutSpec,
		"id" | "fleet" | "bundle" | "store" | "previous" | "devices"
	>,
): Omit<RolloutSpec, "id" | "bundle"> {
	const whole = (option: "tries" | "least-devices", least: number) => {
		const value = args[option];
		if (Number.isSafeInteger(value) && value >= least) return value;
		throw new WattvoxError(
			"E_USAGE",
			`--${option} is a whole number from ${least} on`,
		);
	};
	const some = (list: readonly string[]) =>
		list.length > 0 ? [...list] : null;
	return {
		...defaults,
		...{ fleet: args.fleet, store: "store" },
		previous: args.previous ?? null,
		devices: some(args.device),
		classes: some(args.class),
		waves: parseWaves(args.waves),
		deadlineMs: parseDuration(args.deadline),
		soakMs: parseDuration(args.soak),
		retryMs: parseDuration(args.retry),
		tries: whole("tries", 1),
		maxFailed: parseShare(args["max-failed"]),
		maxRatio: 1 + parseShare(args["max-energy"]),
		requireEnergy: args["require-energy"],
		leastDevices: whole("least-devices", 2),
		leastAudioSeconds: parseDuration(args["least-speech"]) / 1000,
	};
}
