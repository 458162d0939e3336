import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import type { InferredOptionTypes } from "yargs";
import { BROKER_OPTIONS, brokerAccess } from "../broker-options.ts";
import { command, type Io, type OptionTable } from "../command.ts";
import { DATA_OPTIONS } from "./fleet-serve.ts";

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

/** What a runner needs beside the rollout: shared by start and resume. */
export const RUNNER_OPTIONS = {
	data: DATA_OPTIONS.data,
	key: {
		type: "string",
		describe: "The fleet's private key: signs what devices are told",
	},
	stay: {
		type: "boolean",
		default: false,
		describe: "Go on when it is done: for devices that join later or fall back",
	},
	...BROKER_OPTIONS,
} as const satisfies OptionTable;

/** Runs a rollout in this process until it is over. */
export async function runHere(
	id: string,
	args: InferredOptionTypes<typeof RUNNER_OPTIONS>,
	io: Io,
): Promise<void> {
	const [{ loadPrivateKey }, fleet] = await Promise.all([
		import("@wattvox/bundle"),
		import("@wattvox/fleet"),
	]);
	if (args.key === undefined)
		throw new WattvoxError(
			"E_USAGE",
			"--key: who signs what devices are told?",
		);
	const dir = rolloutsDir(args.data);
	let said = "";
	const runner = new fleet.RolloutRunner(await fleet.loadRollout(dir, id), {
		dir,
		key: await loadPrivateKey(args.key),
		broker: await brokerAccess(args),
		onChange(view) {
			const line = fleet.rolloutLine(view);
			if (line !== said) io.progress.note(line);
			said = line;
		},
		onError: (error) => io.progress.note(error.message),
	});
	try {
		await runner.run(io.signal, args.stay);
	} catch (thrown) {
		// told to stop: `rollout resume` goes on from here
		if (!io.signal.aborted) throw thrown;
	}
	const view = fleet.rolloutView(runner.state);
	io.result(view, fleet.formatRollout(view));
}

export const rolloutStart = command({
	usage: "rollout start [bundle]",
	about: "Bring a bundle to a fleet in waves, each behind gates",
	examples: [
		[
			"rollout start voice/ --id ada-2 --fleet home --key keys/fleet.key",
			"to every device that is heard of, 2 %, 10 %, 50 %, then all",
		],
		[
			"rollout start --dry-run --devices 5000 --waves 1%,25%,100%",
			"the same planner over 5,000 made-up devices, faults and all",
		],
	],
	positionals: { bundle: { type: "string", describe: "Its folder" } },
	options: {
		id: {
			type: "string",
			describe: "The rollout's name; by default the bundle's",
		},
		fleet: { type: "string", default: "home", describe: "The fleet's id" },
		device: {
			type: "array",
			string: true,
			default: [],
			describe: "Only these; by default every device that is heard of",
		},
		store: {
			type: "string",
			default: "store",
			describe: "The store: a folder, or s3://bucket/prefix",
		},
		trust: {
			type: "array",
			string: true,
			default: [],
			describe:
				"Public keys that may have signed the bundle; by default --key's",
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
		"dry-run": {
			type: "boolean",
			default: false,
			describe: "Play it over made-up devices; touches nothing",
		},
		devices: {
			type: "number",
			default: 2000,
			describe: "Made-up devices of --dry-run",
		},
		"energy-ratio": {
			type: "number",
			default: 1.02,
			describe: "Of --dry-run: joules per second of speech, new over old",
		},
		seed: { type: "number", default: 1, describe: "Of --dry-run" },
		...RUNNER_OPTIONS,
	},
	service: true,
	async run(args, io) {
		const fleet = await import("@wattvox/fleet");
		const spec = {
			...fleet.ROLLOUT_DEFAULTS,
			...{ fleet: args.fleet, store: "store", bundle: "0".repeat(64) },
			id: args.id ?? "dry-run",
			previous: args.previous ?? null,
			devices: args.device.length > 0 ? [...args.device] : null,
			waves: parseWaves(args.waves),
			deadlineMs: parseDuration(args.deadline),
			soakMs: parseDuration(args.soak),
			retryMs: parseDuration(args.retry),
			tries: args.tries,
			maxFailed: parseShare(args["max-failed"]),
			maxRatio: 1 + parseShare(args["max-energy"]),
			requireEnergy: args["require-energy"],
		};
		if (args["dry-run"]) {
			const played = fleet.simulate(
				spec,
				args.devices,
				{ energyRatio: args["energy-ratio"] },
				args.seed,
				io.signal,
			);
			const view = fleet.rolloutView(played.state);
			return io.result(
				{ rollout: view, events: played.events, offers: played.offers },
				fleet.formatSimulation(played),
			);
		}
		if (args.bundle === undefined || args.key === undefined)
			throw new WattvoxError("E_USAGE", "name the bundle and --key");
		const { loadPrivateKey, loadTrust, openBundle, trustKeys } = await import(
			"@wattvox/bundle"
		);
		const key = await loadPrivateKey(args.key);
		const trust =
			args.trust.length > 0
				? await loadTrust(args.trust)
				: trustKeys([key.publicKey]);
		const bundle = await openBundle(args.bundle, trust, { now: Date.now() });
		if (bundle.expired)
			throw new WattvoxError("E_EXPIRED", `${args.bundle} has expired`);
		const digest = await fleet
			.openStore(args.store, io.env)
			.put(args.bundle, trust, io.signal);
		const id = args.id ?? `to-${digest.slice(0, 12)}`;
		const dir = rolloutsDir(args.data);
		const known = await readFile(join(dir, `${id}.json`)).catch(
			() => undefined,
		);
		if (known)
			throw new WattvoxError(
				"E_USAGE",
				`there is a rollout ${id}: resume it, or take another --id`,
			);
		await fleet.saveRollout(
			dir,
			fleet.beginning({ ...spec, id, bundle: digest }, args.device, Date.now()),
		);
		await runHere(id, args, io);
	},
});
