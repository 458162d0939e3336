import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { compileShim } from "@wattvox/runtime/tensorrt";

/** What the shim includes of NVIDIA's. */
const HEADERS = ["NvInfer.h", "NvOnnxParser.h", "cuda_runtime_api.h"] as const;

/** Folders that may have NVIDIA's headers: of JetPack's and Debian's packages, and those that a variable names. */
export function usualFolders(env = process.env): string[] {
	const named = (env.WATTVOX_TENSORRT_HEADERS ?? "").split(delimiter);
	const include = "/usr/include";
	const multiarch = existsSync(include)
		? readdirSync(include).filter((name) => name.endsWith("-linux-gnu"))
		: [];
	return [
		...named.filter((dir) => dir !== ""),
		...multiarch.map((name) => join(include, name)),
		...[include, "/usr/local/cuda/include"],
	].filter((dir) => existsSync(dir));
}

/**
 * Compiles the shim against TensorRT's public headers, without any of its libraries, where they are; warnings
 * are errors.
 * @param folders to look for them in; the first that has one counts
 * @returns one line for people: compiled against what, or that it was not and what is missing
 * @throws WattvoxError E_TENSORRT: it does not compile
 */
export async function checkShim(
	folders: readonly string[],
	options: { cxx?: string; flags?: readonly string[] } = {},
): Promise<{ compiled: boolean; line: string }> {
	const found = HEADERS.map((name) =>
		folders.find((dir) => existsSync(join(dir, name))),
	);
	const missing = HEADERS.filter((_, i) => found[i] === undefined);
	if (missing.length > 0)
		return {
			compiled: false,
			line: `skipped, the shim was not compiled: no ${missing.join(", ")} in ${folders.join(", ") || "any folder"}`,
		};
	const include = [...new Set(found)] as string[];
	const dir = await mkdtemp(join(tmpdir(), "wattvox-shim-"));
	try {
		await compileShim({
			out: join(dir, "shim.so"),
			...(options.cxx !== undefined && { cxx: options.cxx }),
			include,
			libraries: [],
			flags: ["-Werror", "-O0", ...(options.flags ?? [])],
		});
		const line = `the shim compiles against ${include.join(", ")}`;
		return { compiled: true, line };
	} finally {
		await rm(dir, { recursive: true });
	}
}

/** @throws WattvoxError E_FILE_MISSING for a folder that is not there */
export function folderMustExist(dir: string): void {
	if (!existsSync(dir))
		throw new WattvoxError("E_FILE_MISSING", `no folder ${dir}`);
}
