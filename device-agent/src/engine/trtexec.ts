import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { findProgram } from "@wattvox/energy";
import {
	type BuildRequest,
	type BuiltEngine,
	leashed,
	MEMORY_BYTES,
	type TensorRtFacts,
	WORKSPACE_BYTES,
	type Workshop,
} from "@wattvox/runtime/tensorrt";

/** Where JetPack puts it, which is in nobody's PATH. */
const USUAL = ["/usr/src/tensorrt/bin"];
/** Longest a build may take when nothing else is said, ms. */
const DEADLINE_MS = 30 * 60_000;
/** Lines of its output that an error quotes. */
const QUOTED = 3;

/** NVIDIA's command-line builder; undefined where it is not installed. */
export const findTrtexec = (env = process.env): string | undefined =>
	findProgram("trtexec", env, USUAL);

/**
 * Arguments for a build without inference, as each version's own parser of them takes them
 * (github.com/NVIDIA/TensorRT, samples/common/sampleOptions.cpp). The decoder's shapes are fixed, so there
 * are no profiles.
 * @param tensorrt version, major.minor.patch: options changed with 8.6, 10.0 and 11.0
 * @throws WattvoxError E_OP_UNSUPPORTED what that version cannot do, as the shim's builder does
 */
export function trtexecArguments(
	files: { onnx: string; engine: string; timing: string },
	tensorrt: string,
	request: BuildRequest,
): string[] {
	const [major = 0, minor = 0] = tensorrt.split(".").map(Number);
	const since86 = major > 8 || (major === 8 && minor >= 6);
	const { precision = "fp32", workspaceBytes = WORKSPACE_BYTES } = request;
	if (major >= 11 && precision !== "fp32")
		throw unsupported("this TensorRT takes the precision from the model");
	if (major < 10 && precision === "bf16")
		throw unsupported("bf16 needs TensorRT 10");
	if (!since86 && request.level !== undefined)
		throw unsupported("optimisation levels need TensorRT 8.6");
	return [
		`--onnx=${files.onnx}`,
		`--saveEngine=${files.engine}`,
		`--timingCacheFile=${files.timing}`,
		// in MiB, as every version reads it
		`--memPoolSize=workspace:${Math.max(1, Math.floor(workspaceBytes / 2 ** 20))}`,
		since86 ? "--skipInference" : "--buildOnly",
		// as the shim: single precision is not rounded to TF32 by the way
		precision === "fp32" ? "--noTF32" : `--${precision}`,
		...(request.refit ? ["--refit"] : []),
		...(request.level !== undefined
			? [`--builderOptimizationLevel=${request.level}`]
			: []),
	];
}

function unsupported(message: string): WattvoxError {
	return new WattvoxError("E_OP_UNSUPPORTED", message);
}

/**
 * Builds with trtexec instead of the shim. Its process is held as the workshop's children are: a memory
 * limit, first in line for the kernel's killer, killed at its deadline, when the signal aborts, and when
 * this process is gone. Its files are removed in any case but the last.
 * @param facts of the TensorRT it belongs to
 */
export function trtexecBuilder(
	program: string,
	facts: TensorRtFacts,
): Pick<Workshop, "buildEngine"> {
	return {
		async buildEngine(onnx, request = {}): Promise<BuiltEngine> {
			const dir = await mkdtemp(join(tmpdir(), "wattvox-trtexec-"));
			const files = {
				onnx: typeof onnx === "string" ? onnx : join(dir, "model.onnx"),
				engine: join(dir, "engine.plan"),
				timing: join(dir, "timing.bin"),
			};
			try {
				if (typeof onnx !== "string") await writeFile(files.onnx, onnx);
				if (request.timingCache)
					await writeFile(files.timing, request.timingCache);
				const begin = performance.now();
				const args = trtexecArguments(files, facts.tensorrt, request);
				request.onProgress?.({ phase: "trtexec", step: 0, steps: 0 });
				await run(program, args, request);
				const engine = await readFile(files.engine).catch(() => undefined);
				if (!engine?.length)
					throw new WattvoxError(
						"E_ENGINE_BUILD",
						"trtexec ended well and left no engine",
					);
				return {
					engine,
					timingCache: await readFile(files.timing).catch(
						() => new Uint8Array(),
					),
					ports: { inputs: [], outputs: [] },
					facts,
					seconds: (performance.now() - begin) / 1000,
					log: [],
				};
			} finally {
				await rm(dir, { recursive: true, force: true });
			}
		},
	};
}

async function run(
	program: string,
	args: readonly string[],
	request: BuildRequest,
): Promise<void> {
	const { signal, deadlineMs = DEADLINE_MS } = request;
	signal?.throwIfAborted();
	const memory = request.memoryBytes ?? MEMORY_BYTES;
	const child = spawn(...leashed(memory, program, args), {
		stdio: ["ignore", "pipe", "pipe"],
	});
	// At once: it may end before anything else is done.
	const ended = endOf(child);
	const tail = hear(child, (phase) =>
		request.onProgress?.({ phase, step: 0, steps: 0 }),
	);
	const { pid } = child;
	// Where that is not possible, the limits still hold.
	if (pid !== undefined)
		writeFile(`/proc/${pid}/oom_score_adj`, "1000").catch(() => undefined);
	let late = false;
	const kill = () => child.kill("SIGKILL");
	const timer = setTimeout(() => {
		late = true;
		kill();
	}, deadlineMs);
	signal?.addEventListener("abort", kill, { once: true });
	const end = await ended;
	clearTimeout(timer);
	signal?.removeEventListener("abort", kill);
	signal?.throwIfAborted();
	if (late)
		throw new WattvoxError(
			"E_TIMEOUT",
			`trtexec took more than ${Math.round(deadlineMs / 1000)} s`,
		);
	if (end !== 0) throw explained(end, tail(), memory);
}

/** Lines by which every version of it says how far it is. */
const PHASES: readonly [RegExp, string][] = [
	[/\[I\] Start parsing network model/, "parse"],
	[/\[I\] Finish(ed)? parsing network model/, "build"],
	[/\[I\] Engine built in/, "done"],
];

/** Follows what it prints. @returns the end of that so far */
function hear(
	child: ChildProcess,
	onPhase: (phase: string) => void,
): () => string {
	let tail = "";
	const from = (stream: ChildProcess["stdout"]) => {
		let line = "";
		stream?.setEncoding("utf8").on("data", (text: string) => {
			tail = (tail + text).slice(-8192);
			const lines = (line + text).split("\n");
			line = (lines.pop() ?? "").slice(-8192);
			for (const whole of lines)
				for (const [sign, phase] of PHASES)
					if (sign.test(whole)) onPhase(phase);
		});
	};
	from(child.stdout);
	from(child.stderr);
	return () => tail;
}

/** How it ended, all that it printed heard. */
function endOf(child: ChildProcess): Promise<string | number> {
	return new Promise((resolve) => {
		child.once("error", (error) => {
			// one that runs ends later
			if (child.pid === undefined) resolve(error.message);
		});
		child.once("close", (code, by) => resolve(by ?? code ?? "no exit code"));
	});
}

function explained(
	end: string | number,
	tail: string,
	memory: number,
): WattvoxError {
	const lines = tail.split("\n").filter((line) => line.trim());
	const errors = lines.filter((line) => /\[E\]|rror/.test(line));
	const quoted = (errors.length > 0 ? errors : lines).slice(-QUOTED);
	const why = quoted.join("; ") || "it says nothing";
	// Whoever is killed without our doing was killed for memory, on a device.
	if (end !== "SIGKILL" && !OUT_OF_MEMORY.test(tail))
		return new WattvoxError("E_ENGINE_BUILD", `trtexec ended (${end}): ${why}`);
	return new WattvoxError(
		"E_MEMORY",
		`trtexec ended (${end}), its limit is ${Math.round(memory / 2 ** 20)} MiB: ${why}`,
	);
}

/** CUDA's words, TensorRT's, C++'s and the C library's. */
const OUT_OF_MEMORY = /out ?of ?memory|bad_alloc|Cannot allocate memory/i;
