import { spawn } from "node:child_process";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { WattvoxError } from "@wattvox/core";

/** The shim's sources, packaged beside the compiled JavaScript. */
const NATIVE = fileURLToPath(new URL("../../native", import.meta.url));

/** Where JetPack and CUDA's packages put what the compiler does not look for by itself. */
const INCLUDE = ["/usr/local/cuda/include"];
const LIB = ["/usr/local/cuda/lib64", "/usr/lib/aarch64-linux-gnu"];
const LIBRARIES = ["nvinfer", "nvonnxparser", "cudart"];

export interface CompileOptions {
	/** The library to write; its folder is made. */
	out: string;
	/** The C++ compiler (C++17, takes GCC's options); `c++` by default. */
	cxx?: string | undefined;
	/** Folders with NvInfer.h, NvOnnxParser.h and cuda_runtime_api.h, before the usual ones. */
	include?: readonly string[] | undefined;
	/** Folders with TensorRT's and CUDA's libraries, before the usual ones. */
	lib?: readonly string[] | undefined;
	/** What to link with; none to compile where only headers are. TensorRT's and CUDA's by default. */
	libraries?: readonly string[] | undefined;
	/** Further options of the compiler. */
	flags?: readonly string[] | undefined;
	signal?: AbortSignal | undefined;
}

/**
 * Compiles the shim against the TensorRT of this machine, which is the only one that it then runs with:
 * vtables and enums differ between versions. A minute or so on a small board.
 * @returns the library's path, `out`
 * @throws WattvoxError E_TENSORRT: no compiler, no headers, or what the compiler says; E_INTERRUPTED
 */
export async function compileShim(options: CompileOptions): Promise<string> {
	const { out, cxx = "c++", libraries = LIBRARIES, signal } = options;
	await mkdir(dirname(out), { recursive: true });
	const sources = (await readdir(NATIVE)).filter((name) =>
		name.endsWith(".cpp"),
	);
	// A half-written library must never have the final name.
	const part = `${out}.${process.pid}.part`;
	const lib = [...(options.lib ?? []), ...LIB];
	const args = [
		..."-std=c++17 -O2 -fPIC -shared -fvisibility=hidden -pthread".split(" "),
		// Its threads end a moment after what they did is told, and whoever loaded it lets go of it at the
		// process's end: it stays where it is, or a thread would run where there is no code any more.
		"-Wl,-z,nodelete",
		// NVIDIA's headers mark as deprecated what the older versions need.
		..."-Wall -Wextra -Wno-deprecated-declarations".split(" "),
		...(options.flags ?? []),
		...[...(options.include ?? []), ...INCLUDE].flatMap((dir) => [
			"-isystem",
			dir,
		]),
		...sources.map((name) => join(NATIVE, name)),
		...["-o", part],
		...(libraries.length
			? lib.flatMap((dir) => [`-L${dir}`, `-Wl,-rpath,${dir}`])
			: []),
		...libraries.map((name) => `-l${name}`),
	];
	try {
		await run(cxx, args, signal);
		await rename(part, out);
	} finally {
		await rm(part, { force: true });
	}
	return out;
}

async function run(
	cxx: string,
	args: readonly string[],
	signal: AbortSignal | undefined,
): Promise<void> {
	const child = spawn(cxx, args, {
		stdio: ["ignore", "ignore", "pipe"],
		signal,
		killSignal: "SIGKILL",
	});
	let said = "";
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		said += text;
	});
	const code = await new Promise<number | null>((resolve, reject) => {
		child.once("error", (error: NodeJS.ErrnoException) => {
			const code = error.name === "AbortError" ? "E_INTERRUPTED" : "E_TENSORRT";
			const message =
				error.code === "ENOENT"
					? `there is no C++ compiler "${cxx}"`
					: `the compiler: ${error.message}`;
			reject(new WattvoxError(code, message, { cause: error }));
		});
		child.once("close", resolve);
	});
	if (code === 0) return;
	const lines = said
		.split("\n")
		.filter((line) => /error|undefined|cannot/i.test(line));
	throw new WattvoxError(
		"E_TENSORRT",
		`the shim does not compile: ${lines.slice(0, 3).join(" | ") || `${cxx} ended with ${code}`}`,
	);
}
