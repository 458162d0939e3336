// For tests, of other packages too; not packaged: a TensorRT that is ONNX Runtime behind the shim's ABI.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { copyFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { compileShim } from "./tensorrt/compile.ts";
import { ABI } from "./tensorrt/ffi.ts";
import type { TensorRtFacts } from "./tensorrt/index.ts";

/** What a TensorRT on an Orin Nano could say of itself. */
export const ORIN: Readonly<TensorRtFacts> = {
	tensorrt: "10.3.0.26",
	headers: "10.3.0",
	cuda: "12.6",
	cudaDriver: "12.6",
	computeCapability: "8.7",
	device: "Orin",
	multiprocessors: 8,
	memoryBytes: 8e9,
	l4t: "36.4.3",
	module: "Orin Nano",
};

/** What the stand-in can be told to do wrong; stand-in/stand-in.h says what each does. */
export type Lie =
	| "abi"
	| "no-device"
	| "endless-facts"
	| "other-version"
	| "nan"
	| "wrong"
	| "memory-device"
	| "memory-build"
	| "killed-build"
	| "endless-build"
	| "slow-build"
	| "corrupt"
	| "refit-drops"
	| "serialize-drops"
	| "memory-refit"
	| "endless-refit"
	| "endless-run"
	| "no-shapes"
	| "crash-open"
	| "crash-build"
	| "crash-load"
	| "crash-refit"
	| "crash-serialize"
	| "crash-run";

const SOURCES = fileURLToPath(new URL("../stand-in", import.meta.url));
let folder: string | undefined;
const compiled = new Map<string, Promise<string>>();
let copies = 0;

/**
 * A fresh copy of the stand-in; the first one of a process compiles it with gcc (half a second). All go
 * when the process ends.
 * @param lies what it does wrong from the start; {@link lie} changes that later
 * @returns the library's path, for `openTensorRt` and `workshop`
 */
export async function standIn(...lies: Lie[]): Promise<string> {
	return copy("stand-in.so", compileStandIn, lies);
}

/**
 * A fresh copy of the shim itself, compiled against a make-believe TensorRT (stand-in/make-believe) with g++:
 * 10.3.0, or 8.5.2, which has no int64. It knows the lies no-device, nan, memory-device, memory-build,
 * slow-build, and no-shapes: a run fails after its inputs were handed over.
 */
export async function makeBelieve(
	version: "10.3.0" | "8.5.2",
	...lies: Lie[]
): Promise<string> {
	const [major, minor, patch] = version.split(".");
	return copy(
		`shim-${version}.so`,
		(out) =>
			compileMakeBelieve(out, [
				`-DNV_TENSORRT_MAJOR=${major}`,
				`-DNV_TENSORRT_MINOR=${minor}`,
				`-DNV_TENSORRT_PATCH=${patch}`,
			]),
		lies,
	);
}

/** A shim of the ABI before this one: it lacks what came since, and is not used beyond its number. */
export async function olderShim(): Promise<string> {
	return copy(
		"older-shim.so",
		async (out) => {
			const source = `${out}.c`;
			await writeFile(
				source,
				`__attribute__((visibility("default"))) int wv_abi(void);\nint wv_abi(void) { return ${ABI - 1}; }\n`,
			);
			await gcc(["-shared", source, "-o", out]);
		},
		[],
	);
}

/**
 * The first of the programs that is not installed, for tests that are skipped without it: gcc for
 * {@link standIn}, g++ beside it for {@link makeBelieve}, `LEASH` for `workshop`.
 */
export function lacks(...programs: string[]): string | undefined {
	const path = (process.env.PATH ?? "").split(delimiter);
	return programs.find((p) => !path.some((dir) => existsSync(join(dir, p))));
}

/** Changes what a library does wrong, in every process that has it. */
export async function lie(path: string, ...lies: Lie[]): Promise<void> {
	await writeFile(`${path}.lie`, lies.join(" "));
}

/** The headers of the make-believe TensorRT and its CUDA. */
const MAKE_BELIEVE = join(SOURCES, "make-believe");

async function copy(
	name: string,
	compile: (out: string) => Promise<void>,
	lies: Lie[],
): Promise<string> {
	folder ??= makeFolder();
	const dir = folder;
	const out = join(dir, name);
	const made = compiled.get(name) ?? compile(out).then(() => out);
	compiled.set(name, made);
	const path = join(dir, `${copies++}-${name}`);
	await copyFile(await made, path);
	await lie(path, ...lies);
	return path;
}

function makeFolder(): string {
	const made = mkdtempSync(join(tmpdir(), "wattvox-stand-in-"));
	process.once("exit", () => rmSync(made, { recursive: true, force: true }));
	return made;
}

const C_FLAGS =
	"-std=gnu11 -O1 -Wall -Wextra -Werror -fPIC -fvisibility=hidden";

async function compileStandIn(out: string): Promise<void> {
	const sources = readdirSync(SOURCES).filter((name) => name.endsWith(".c"));
	await gcc([
		"-shared",
		// As the shim: its threads may still be there when koffi unloads it.
		"-Wl,-z,nodelete",
		...sources.map((name) => join(SOURCES, name)),
		...["-o", out, "-lpthread", "-lm", "-ldl"],
	]);
}

async function compileMakeBelieve(
	out: string,
	version: readonly string[],
): Promise<void> {
	const objects = ["model", "lies"].map((name) => `${out}.${name}.o`);
	for (const object of objects)
		await gcc([
			"-c",
			join(SOURCES, `${object.split(".").at(-2)}.c`),
			"-o",
			object,
		]);
	const sources = readdirSync(MAKE_BELIEVE).filter((name) =>
		name.endsWith(".cpp"),
	);
	await compileShim({
		out,
		cxx: "g++",
		include: [MAKE_BELIEVE],
		libraries: [],
		flags: [
			...version,
			..."-O0 -Werror -Wl,-z,defs".split(" "),
			...sources.map((name) => join(MAKE_BELIEVE, name)),
			...objects,
		],
	});
}

async function gcc(args: readonly string[]): Promise<void> {
	const define = `-DORT_LIBRARY="${ortLibrary()}"`;
	await promisify(execFile)("gcc", [...C_FLAGS.split(" "), define, ...args]);
}

/** ONNX Runtime's C library, out of its npm package. */
function ortLibrary(): string {
	const require = createRequire(import.meta.url);
	const bin = join(
		dirname(require.resolve("onnxruntime-node/package.json")),
		"bin",
	);
	const napi = readdirSync(bin).find((name) => name.startsWith("napi-"));
	return join(
		bin,
		napi ?? "",
		process.platform,
		process.arch,
		"libonnxruntime.so.1",
	);
}
