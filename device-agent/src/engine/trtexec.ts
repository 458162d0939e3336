import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { findProgram } from "@wattvox/energy";
import {
	type BuildRequest,
	type BuiltEngine,
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
 * Arguments for a build without inference. The decoder's shapes are fixed, so there are no profiles.
 * @param tensorrt version, major.minor.patch: options changed with 8.6
 */
export function trtexecArguments(
	files: { onnx: string; engine: string; timing: string },
	tensorrt: string,
	request: BuildRequest,
): string[] {
	const [major = 0, minor = 0] = tensorrt.split(".").map(Number);
	const since86 = major > 8 || (major === 8 && minor >= 6);
	const { precision = "fp32", workspaceBytes = WORKSPACE_BYTES } = request;
	return [
		`--onnx=${files.onnx}`,
		`--saveEngine=${files.engine}`,
		`--timingCacheFile=${files.timing}`,
		// in MiB, as every version reads it
		`--memPoolSize=workspace:${Math.max(1, Math.floor(workspaceBytes / 2 ** 20))}`,
		since86 ? "--skipInference" : "--buildOnly",
		...(precision === "fp32" ? [] : [`--${precision}`]),
		...(request.refit ? ["--refit"] : []),
		...(request.level !== undefined && since86
			? [`--builderOptimizationLevel=${request.level}`]
			: []),
	];
}

/**
 * Builds with trtexec instead of the shim. The process is killed when the signal aborts or the deadline
 * passes; its files are removed in any case.
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
				request.onProgress?.({ phase: "trtexec", step: 0, steps: 0 });
				await run(
					program,
					trtexecArguments(files, facts.tensorrt, request),
					request,
				);
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
	{ signal, deadlineMs = DEADLINE_MS }: BuildRequest,
): Promise<void> {
	signal?.throwIfAborted();
	const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
	let late = false;
	const kill = () => child.kill("SIGKILL");
	const timer = setTimeout(() => {
		late = true;
		kill();
	}, deadlineMs);
	signal?.addEventListener("abort", kill, { once: true });
	let tail = "";
	const hear = (text: Buffer) => {
		tail = (tail + text).slice(-8192);
	};
	child.stdout.on("data", hear);
	child.stderr.on("data", hear);
	const end = await new Promise<string | number>((resolve) => {
		child.once("error", (error) => resolve(error.message));
		child.once("close", (code, by) => resolve(by ?? code ?? "no exit code"));
	});
	clearTimeout(timer);
	signal?.removeEventListener("abort", kill);
	signal?.throwIfAborted();
	if (late)
		throw new WattvoxError(
			"E_TIMEOUT",
			`trtexec took more than ${Math.round(deadlineMs / 1000)} s`,
		);
	if (end === 0) return;
	const errors = tail.split("\n").filter((line) => /\[E\]|rror/.test(line));
	const why = errors.slice(-QUOTED).join("; ") || "it says nothing";
	// Whoever is killed without our doing was killed for memory, on a device.
	throw new WattvoxError(
		end === "SIGKILL" || /out of memory/i.test(tail)
			? "E_MEMORY"
			: "E_ENGINE_BUILD",
		`trtexec ended (${end}): ${why}`,
	);
}
