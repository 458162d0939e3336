import { readFile } from "node:fs/promises";
import { type EngineShelf, readEngineHead, type Trust } from "@wattvox/bundle";
import { asWattvoxError, WattvoxError } from "@wattvox/core";

/**
 * The device classes that have an engine for a bundle: in the store, where build stations bring them, or as
 * a file. What lies in the store and is not signed by a key that builds here now does not count.
 * @param given CLASS=FILE, each a signed engine
 * @param trust whose builder keys count
 * @param shelf of the store
 * @throws WattvoxError E_USAGE (no CLASS=FILE; an engine of another voice or base), E_SIGNATURE, E_TAMPERED,
 *   E_FILE_FORMAT, E_FILE_MISSING, E_TENSORRT_OP, each naming the file
 */
export async function enginesBuilt(
	bundleDir: string,
	given: readonly string[],
	trust: Trust,
	shelf: Pick<EngineShelf, "names" | "readHead">,
): Promise<Set<string>> {
	const names = await shelf.names();
	const built = new Set<string>();
	if (given.length + names.length === 0) return built;
	const [{ openPack, servesVoice }, { readVoiceFiles }] = await Promise.all([
		import("@wattvox/device-agent/engine"),
		import("@wattvox/synth"),
	]);
	const serves = servesVoice(await readVoiceFiles(bundleDir));
	for (const name of names) {
		const bytes = await shelf.readHead(name);
		try {
			const { deviceClass, key } = readEngineHead(bytes ?? Buffer.of(), trust);
			if (deviceClass === undefined || built.has(deviceClass)) continue;
			if (await serves(key)) built.add(deviceClass);
		} catch {
			// of a key that is not trusted any more, or for a TensorRT that cannot speak this voice
		}
	}
	for (const one of given) {
		const [, name, path] = /^([\w-]{1,64})=(.+)$/.exec(one) ?? [];
		if (name === undefined || path === undefined)
			throw new WattvoxError("E_USAGE", `--engine ${one}: write CLASS=FILE`);
		try {
			const pack = openPack(await readFile(path), trust);
			const { deviceClass } = pack.head;
			if (deviceClass !== undefined && deviceClass !== name)
				throw new WattvoxError(
					"E_USAGE",
					`this engine was built on a device of class ${deviceClass}`,
				);
			if (!(await serves(pack.head.key)))
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
