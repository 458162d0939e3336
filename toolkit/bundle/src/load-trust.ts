import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import {
	loadPublicKey,
	type PublicKey,
	readKeyFile,
	type Trust,
	trustKeys,
} from "./keys.ts";
import { RootTrust } from "./root-trust.ts";

/**
 * Trusts what files and folders hold: one root file (see `RootTrust`), which says which key may sign
 * what, or else public keys that may sign everything (every `*.pub` in a folder).
 * @throws WattvoxError E_KEY (none found; a root beside plain keys), E_SIGNATURE, E_FILE_FORMAT
 */
export async function loadTrust(paths: Iterable<string>): Promise<Trust> {
	const keys: PublicKey[] = [];
	const roots: string[] = [];
	for (const path of paths) {
		const info = await stat(path).catch(() => undefined);
		const files = info?.isDirectory()
			? (await readdir(path))
					.filter((n) => n.endsWith(".pub"))
					.sort()
					.map((n) => join(path, n))
			: [path];
		for (const file of files)
			if (await isRoot(file)) roots.push(file);
			else keys.push(await loadPublicKey(file));
	}
	const [root] = roots;
	if (root === undefined) {
		if (keys.length === 0)
			throw new WattvoxError("E_KEY", "no public key is given to trust");
		return trustKeys(keys);
	}
	if (roots.length > 1 || keys.length > 0)
		throw new WattvoxError(
			"E_KEY",
			`${root} says whom to trust; give no other key beside it`,
		);
	return RootTrust.open(Buffer.from(await readKeyFile(root)));
}

async function isRoot(path: string): Promise<boolean> {
	if (!path.endsWith(".json")) return false;
	return /"roots"\s*:/.test(await readKeyFile(path));
}
