import { readFile } from "node:fs/promises";
import type { Trust } from "@wattvox/bundle";
import { asWattvoxError, WattvoxError } from "@wattvox/core";

/**
 * The device classes that have an engine for a bundle.
 * @param given CLASS=FILE, each a signed engine
 * @param trust whose builder keys count
 * @throws WattvoxError E_USAGE (no CLASS=FILE; an engine of another voice or base), E_SIGNATURE, E_TAMPERED,
 *   E_FILE_FORMAT, E_FILE_MISSING, E_TENSORRT_OP, each naming the file
 */
export async function enginesBuilt(
	bundleDir: string,
	given: readonly string[],
	trust: Trust,
): Promise<Set<string>> {
	const built = new Set<string>();
	if (given.length === 0) return built;
	const [{ openPack, packServes }, { readVoiceFiles }] = await Promise.all([
		import("@wattvox/device-agent/engine"),
		import("@wattvox/synth"),
	]);
	const files = await readVoiceFiles(bundleDir);
	for (const one of given) {
		const [, name, path] = /^([\w-]{1,64})=(.+)$/.exec(one) ?? [];
		if (name === undefined || path === undefined)
			throw new WattvoxError("E_USAGE", `--engine ${one}: write CLASS=FILE`);
		try {
			const pack = openPack(await readFile(path), trust);
			if (!(await packServes(pack, files)))
				throw new WattvoxError(
					"E_USAGE",
					"this engine is neither of the bundle's base nor of its voice",
				);
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			throw new WattvoxError(code, `--engine ${one}: ${message}`, {
				cause: thrown,
			});
		}
		built.add(name);
	}
	return built;
}
