import { access, rm } from "node:fs/promises";
import { join } from "node:path";
import { DebianPackages, unpack } from "../arm64/debian-packages.ts";
import { furnish, SYSTEM } from "./root.ts";

/** Ubuntu 20.04, which JetPack 5 is made of, has the same C library: 2.31. */
const SUITE = "bullseye";

export interface RootOptions {
	/** The processor, as Debian names it. */
	processor: string;
	/** Debian's, that still has bullseye. */
	mirror: string;
	/** Files for the board's /root. */
	files: readonly string[];
	/** Where it is made; packages that were fetched before are taken from there. */
	dir: string;
}

/**
 * Makes a small Debian with systemd in a folder. Nothing of this machine's system is changed.
 * @returns the folder
 * @throws WattvoxError E_FILE_MISSING when a program, a package or a file is not to be had
 */
export async function buildRoot(
	{ processor, mirror, files, dir }: RootOptions,
	signal: AbortSignal,
): Promise<string> {
	for (const file of files) await access(file);
	const root = join(dir, "root");
	const suite = { mirror, name: SUITE, processor };
	const packages = new DebianPackages(join(dir, "system"), suite);
	const system = await packages.fetch(SYSTEM, signal, true);
	await rm(root, { recursive: true, force: true });
	await unpack(system, root, signal);
	await furnish(root, files);
	return root;
}
