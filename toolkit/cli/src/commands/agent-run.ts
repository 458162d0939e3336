import { once } from "node:events";
import { BROKER_OPTIONS, brokerAccess } from "../broker-options.ts";
import { command } from "../command.ts";

export const agentRun = command({
	usage: "agent run",
	about: "Pull the voice that the fleet wants and speak it on 127.0.0.1",
	examples: [
		[
			"agent run --fleet home --device kitchen --data agent/ --trust keys/",
			"until it is told to stop",
		],
		[
			"agent run --fleet home --device bench --data agent/ --trust root.json --shim libwattvox_trt.so --builder-key keys/builder.key",
			"builds engines for its class and brings them to the store",
		],
		[
			"agent run --fleet home --device kitchen --data agent/ --trust root.json --shim libwattvox_trt.so --pull-engines",
			"builds none: speaks by its class's engine once that is in the store",
		],
	],
	positionals: {},
	options: {
		fleet: { type: "string", demandOption: true, describe: "The fleet's id" },
		device: {
			type: "string",
			demandOption: true,
			describe: "This device's id",
		},
		data: {
			type: "string",
			demandOption: true,
			describe: "Folder for voices and state",
		},
		trust: {
			type: "array",
			string: true,
			demandOption: true,
			describe:
				"A root file, or public keys (or a folder of them) that may sign",
		},
		port: { type: "number", default: 8420, describe: "Of the speech API" },
		threads: { type: "number", default: 1, describe: "Of one operator" },
		limit: {
			type: "array",
			string: true,
			describe:
				"Of the golden sentences, NAME=NUMBER: mel-distance, length-difference, real-time-factor, first-sound-ms or underruns; of what the voice draws where there is a sensor: joules-ratio or joules-per-second",
		},
		player: {
			type: "string",
			describe:
				"What plays /v1/audio/play: pw-cat, aplay, or a path to one; by default what runs here",
		},
		"audio-device": {
			type: "string",
			describe: "PipeWire's target or ALSA's device to play to",
		},
		"daily-mb": {
			type: "number",
			describe: "Megabytes of bundles that may come in a day (UTC)",
		},
		"keep-voices": {
			type: "number",
			default: 3,
			describe:
				"Last good voices kept beside the active one, 1 to 9; a request may ask for each",
		},
		"loaded-voices": {
			type: "number",
			default: 3,
			describe: "Voices in memory at a time, the active one among them",
		},
		"voices-mb": {
			type: "number",
			default: 160,
			describe: "Megabytes for the voices beside the active one, by estimate",
		},
		class: {
			type: "string",
			describe: "What kind of device it is; by default what its board says",
		},
		"host-root": {
			type: "string",
			describe:
				"In a container: where the host's / is mounted, for its power sensors",
		},
		shim: {
			type: "string",
			describe:
				"The TensorRT shim, compiled on this device: voices speak by TensorRT where that holds",
		},
		precision: {
			choices: ["fp32", "fp16", "bf16"] as const,
			default: "fp32" as const,
			describe: "Of TensorRT's engines; lower is allowed, layer by layer",
		},
		"builder-key": {
			type: "string",
			describe:
				"A builder's private key: this device builds for its class, signs its engines and brings them to the store",
		},
		"pull-engines": {
			type: "boolean",
			default: false,
			describe:
				"Build no engine: take only those that the build station of its class signed, and speak on ONNX Runtime until they are in the store",
		},
		"wait-engines": {
			type: "number",
			default: 0,
			describe:
				"Minutes to wait for such an engine before the device builds its own",
		},
		"engine-memory-mb": {
			type: "number",
			describe:
				"Private memory of each process that builds, refits or tries an engine, MiB; 2048 by default",
		},
		...BROKER_OPTIONS,
	},
	service: true,
	async run(args, io) {
		const [
			{ Agent, engineSettings, parseLimits },
			bundle,
			{ createLog, logLevel },
		] = await Promise.all([
			import("@wattvox/device-agent"),
			import("@wattvox/bundle"),
			import("@wattvox/core"),
		]);
		const key = args["builder-key"];
		const engine = engineSettings(args);
		const agent = new Agent({
			broker: await brokerAccess(args),
			fleet: args.fleet,
			device: args.device,
			dataDir: args.data,
			trust: await bundle.loadTrust(args.trust),
			port: args.port,
			threads: args.threads,
			limits: parseLimits(args.limit ?? []),
			playback: { player: args.player, audioDevice: args["audio-device"] },
			...(args["daily-mb"] !== undefined && {
				dailyBytes: args["daily-mb"] * 1_000_000,
			}),
			goodKept: args["keep-voices"],
			maxLoaded: args["loaded-voices"],
			asideBytes: args["voices-mb"] * 1e6,
			...(args.class !== undefined && { deviceClass: args.class }),
			...(args["host-root"] !== undefined && { hostRoot: args["host-root"] }),
			...(engine && { engine }),
			...(key !== undefined && { builder: await bundle.loadPrivateKey(key) }),
			log: createLog("agent", { level: logLevel(io.env, "info") }),
		});
		try {
			await agent.start(io.signal);
			io.progress.note(`speaking on ${agent.url}`);
			if (!io.signal.aborted) await once(io.signal, "abort");
			io.result(agent.status(), "stopped");
		} finally {
			await agent.stop();
		}
	},
});
