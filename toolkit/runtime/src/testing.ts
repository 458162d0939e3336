// For tests, of other packages too; not packaged: a TensorRT that is ONNX Runtime behind the shim's ABI.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { copyFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the stand-in can be told to do wrong; stand-in/stand-in.h says what each does. */
export type Lie =
	| "abi"
	| "no-device"
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
	| "endless-run"
	| "crash-open"
	| "crash-build"
	| "crash-load"
	| "crash-refit"
	| "crash-run";

const SOURCES = fileURLToPath(new URL("../stand-in", import.meta.url));
let folder: string | undefined;
let made = 0;

/**
 * A fresh copy of the stand-in; the first one of a process compiles it with gcc (half a second). All go
 * when the process ends.
 * @param lies what it does wrong from the start; {@link lie} changes that later
 * @returns the library's path, for `openTensorRt` and `workshop`
 */
export async function standIn(...lies: Lie[]): Promise<string> {
	folder ??= compile();
	const path = join(folder, `stand-in-${process.pid}-${made++}.so`);
	await copyFile(join(folder, "stand-in.so"), path);
	await lie(path, ...lies);
	return path;
}

/** Changes what a stand-in does wrong, in every process that has it. */
export async function lie(path: string, ...lies: Lie[]): Promise<void> {
	await writeFile(`${path}.lie`, lies.join(" "));
}

function compile(): string {
	const made = mkdtempSync(join(tmpdir(), "wattvox-stand-in-"));
	process.once("exit", () => rmSync(made, { recursive: true, force: true }));
	const sources = readdirSync(SOURCES).filter((name) => name.endsWith(".c"));
	const args = [
		..."-std=gnu11 -O1 -Wall -Wextra -Werror -fPIC -shared".split(" "),
		"-fvisibility=hidden",
		`-DORT_LIBRARY="${ortLibrary()}"`,
		...sources.map((name) => join(SOURCES, name)),
		...["-o", join(made, "stand-in.so"), "-lpthread", "-lm", "-ldl"],
	];
	const { status, stderr, error } = spawnSync("gcc", args, {
		encoding: "utf8",
	});
	if (status !== 0)
		throw new Error(
			`the stand-in does not compile: ${error?.message ?? stderr}`,
		);
	return made;
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
