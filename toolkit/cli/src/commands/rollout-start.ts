import { readFile } from "node:fs/promises";
import { WattvoxError } from "@wattvox/core";
import type { InferredOptionTypes } from "yargs";
import { brokerAccess } from "../broker-options.ts";
import { command, type Io } from "../command.ts";
import { enginesBuilt } from "../rollout-engines.ts";
import {
	parseFaults,
	RUNNER_OPTIONS,
	readSpec,
	rolloutsDir,
	SPEC_OPTIONS,
} from "../rollout-options.ts";

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
	const { root } = args;
	const runner = new fleet.RolloutRunner(await fleet.loadRollout(dir, id), {
		dir,
		key: await loadPrivateKey(args.key),
		...(root !== undefined && { roots: await readFile(root) }),
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
			"rollout start voice/ --root keys/root.json --key keys/fleet.key --require-energy",
			"under roots; no wave passes without measured joules",
		],
		[
			"rollout start voice/ --root keys/root.json --key keys/fleet.key --require-engines",
			"not while a class of devices that speak by TensorRT lacks a signed engine in the store",
		],
		[
			"rollout start --dry-run --devices 5000 --waves 1%,25%,100% --fault golden=2%",
			"the same planner over 5,000 made-up devices, faults and all",
		],
	],
	positionals: { bundle: { type: "string", describe: "Its folder" } },
	options: {
		id: {
			type: "string",
			describe: "The rollout's name; by default the bundle's",
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
				"Public keys that may have signed the bundle; by default those of --root, else --key's",
		},
		"without-consent": {
			type: "boolean",
			default: false,
			describe: "Also a bundle that does not say what its speaker agreed to",
		},
		"require-engines": {
			type: "boolean",
			default: false,
			describe:
				"Refuse while a class of devices that speak by TensorRT lacks an engine: in the store, where build stations bring them, or by --engine",
		},
		engine: {
			type: "array",
			string: true,
			default: [],
			describe:
				"CLASS=FILE: a device class and a file with the engine that was built and signed for it; implies --require-engines",
		},
		...SPEC_OPTIONS,
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
		fault: {
			type: "array",
			string: true,
			default: [],
			describe:
				"Of --dry-run: share of devices that go wrong so (silent, golden, diskFull, fallsBack, away, late) or have a sensor (measured)",
		},
		seed: { type: "number", default: 1, describe: "Of --dry-run" },
		...RUNNER_OPTIONS,
	},
	service: true,
	async run(args, io) {
		const fleet = await import("@wattvox/fleet");
		const spec = readSpec(args, fleet.ROLLOUT_DEFAULTS);
		if (args["dry-run"]) {
			// Made-up devices speak by no engine: to accept these would promise a check that is not made.
			if (args["require-engines"] || args.engine.length > 0)
				throw new WattvoxError(
					"E_USAGE",
					"--dry-run plays the planner alone: leave out --engine and --require-engines",
				);
			const { energyRatio: _, ...shares } = fleet.FAULTS;
			const faults = parseFaults(args.fault, Object.keys(shares));
			const played = fleet.simulate(
				{ ...spec, id: args.id ?? "dry-run", bundle: "0".repeat(64) },
				args.devices,
				{ ...faults, energyRatio: args["energy-ratio"] },
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
		const { loadPrivateKey, loadTrust } = await import("@wattvox/bundle");
		const { root, trust, bundle, engine } = args;
		const store = fleet.openStore(args.store, io.env);
		const task = io.progress.task("looking at the fleet");
		const state = await fleet
			.prepareRollout(
				{ ...spec, id: args.id },
				{
					dir: rolloutsDir(args.data),
					bundleDir: bundle,
					store,
					key: await loadPrivateKey(args.key),
					...(root !== undefined && { roots: await readFile(root) }),
					...(trust.length > 0 && { trust: await loadTrust(trust) }),
					broker: await brokerAccess(args),
					withoutConsent: args["without-consent"],
					...((args["require-engines"] || engine.length > 0) && {
						engines: (trusted) =>
							enginesBuilt(
								bundle,
								engine,
								trusted,
								fleet.engineShelf(store, args.data),
							),
					}),
				},
				io.signal,
			)
			.catch((thrown) => {
				task.fail();
				throw thrown;
			});
		task.finish();
		await runHere(state.spec.id, args, io);
	},
});
