import { join } from "node:path";
import { asWattvoxError, facts, WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";
import { checkVoice } from "../trusted-bundle.ts";

export const engineBuild = command({
	usage: "engine build <voice>",
	about:
		"A TensorRT engine for a voice, held to ONNX Runtime before it is kept",
	examples: [
		[
			"engine build voice/ --data /var/lib/wattvox --shim /opt/wattvox/libwattvox_trt.so",
			"on the device; the agent finds it there",
		],
		[
			"engine build voice/ --data agent/ --shim shim.so --precision fp16 --builder trtexec",
			"in half precision, by NVIDIA's own tool",
		],
	],
	positionals: {
		voice: {
			type: "string",
			demandOption: true,
			describe: "Folder of a voice bundle",
		},
	},
	options: {
		data: {
			type: "string",
			demandOption: true,
			describe: "The agent's folder for voices and state; engines go there",
		},
		shim: {
			type: "string",
			demandOption: true,
			describe: "The shim, compiled on this device",
		},
		precision: {
			choices: ["fp32", "fp16", "bf16"] as const,
			default: "fp32" as const,
			describe: "Lower precision is allowed, layer by layer",
		},
		builder: {
			choices: ["shim", "trtexec"] as const,
			default: "shim" as const,
			describe: "Who builds",
		},
		"workspace-mb": {
			type: "number",
			default: 512,
			describe: "TensorRT's scratch memory, MiB",
		},
		"memory-mb": {
			type: "number",
			default: 2048,
			describe: "Private memory of each process that has TensorRT, MiB",
		},
		level: {
			type: "number",
			describe: "Optimisation level 0 to 5, TensorRT 8.6 and later",
		},
		minutes: {
			type: "number",
			default: 30,
			describe: "Longest a build may take",
		},
		threads: {
			type: "number",
			default: 1,
			describe: "Of ONNX Runtime, which says what is right",
		},
		again: {
			type: "boolean",
			default: false,
			describe: "Try again what failed before",
		},
		trust: {
			type: "array",
			string: true,
			default: [],
			describe:
				"A root file, or public keys (or a folder of them), that must have signed the bundle",
		},
	},
	async run(args, io) {
		const { voice, data, shim, precision, level, threads, again } = args;
		if (
			level !== undefined &&
			!(Number.isInteger(level) && level >= 0 && level <= 5)
		)
			throw new WattvoxError("E_USAGE", `--level ${level} is not in 0 to 5`);
		for (const name of ["workspace-mb", "memory-mb", "minutes"] as const)
			if (!(args[name] > 0))
				throw new WattvoxError("E_USAGE", `--${name} must be above 0`);
		await checkVoice(voice, args.trust, io);
		const [engine, { workshop }, { inspectBundle }] = await Promise.all([
			import("@wattvox/device-agent/engine"),
			import("@wattvox/runtime/tensorrt"),
			import("@wattvox/bundle"),
		]);
		const { digest, manifest } = await inspectBundle(voice);
		const golden = manifest.files.find((f) => f.role === "golden");
		const shop = workshop(shim);
		const memoryBytes = args["memory-mb"] * 2 ** 20;
		const task = io.progress.task("engine");
		let steps = 0;
		try {
			const made = await engine.prepareEngine({
				dir: voice,
				voice: digest,
				golden: golden ? join(voice, golden.name) : null,
				cache: new engine.EngineCache(join(data, "engines")),
				workshop: shop,
				...(args.builder === "trtexec" && {
					builder: engine.trtexecBuilder(
						trtexec(engine.findTrtexec(io.env)),
						await shop.facts({ signal: io.signal, memoryBytes }),
					),
				}),
				precision,
				threads,
				again,
				workspaceBytes: args["workspace-mb"] * 2 ** 20,
				memoryBytes,
				deadlineMs: args.minutes * 60_000,
				...(level !== undefined && { level }),
				note: (line) => io.progress.note(line),
				onProgress: ({ phase, step, steps: all }) =>
					task.update(++steps, {
						phase: all > 0 ? `${phase} ${step}/${all}` : phase,
					}),
				signal: io.signal,
			});
			task.finish();
			const { entry, gap, limitDb, fresh } = made;
			const { ports: _, ...rest } = made;
			io.result(
				rest,
				facts([
					["engine", entry.id],
					["", fresh ? "built now" : "found, and tried again"],
					[
						"TensorRT",
						`${made.facts.tensorrt} on ${made.facts.device} (${made.facts.computeCapability})`,
					],
					["size", `${(entry.size / 1e6).toFixed(1)} MB`],
					[
						"for",
						entry.key.refit
							? "every voice of this base, by refitting"
							: "this voice alone",
					],
					[
						"off ONNX Runtime",
						`${gap.errorDb.toFixed(1)} dB over ${made.runs} runs (limit ${limitDb} dB), largest difference ${gap.worst.toPrecision(2)} of full scale`,
					],
					["real-time factor", made.realTimeFactor?.toFixed(4) ?? "unknown"],
				]),
			);
		} catch (thrown) {
			task.fail();
			const error = asWattvoxError(thrown);
			if (!SPEAKS_ON.test(error.code)) throw error;
			throw new WattvoxError(
				error.code,
				`${error.message}; the voice speaks on ONNX Runtime`,
				{ cause: thrown },
			);
		}
	},
});

/** What keeps an engine from a voice, and nothing else from it. */
const SPEAKS_ON =
	/^E_(ENGINE_.*|TENSORRT.*|OP_UNSUPPORTED|MODEL|MEMORY|TIMEOUT)$/;

function trtexec(found: string | undefined): string {
	if (found) return found;
	throw new WattvoxError(
		"E_TENSORRT",
		"trtexec is neither in PATH nor in /usr/src/tensorrt/bin",
	);
}
