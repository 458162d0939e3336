import { existsSync } from "node:fs";
import {
	cp,
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	symlink,
	writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Part } from "./disk-faults.ts";

/** One place in the compiled code, and what stands there instead. */
export interface Mutation {
	/** What is taken out, for people. */
	what: string;
	/** The part of the faults of the disk that must notice it. */
	part: Part;
	/** In which package's dist. */
	file: `${(typeof PACKAGES)[number]}/dist/${string}.js`;
	find: string;
	/** Which of several such places, from 0. */
	nth?: number;
	replace: string;
}

/** What the faults of the disk run through, and where it lies. */
export const PACKAGES = ["core", "bundle", "link", "device-agent"] as const;
const MAIN_FILE = /^(?:disk-|simulated-disk)[a-z-]*\.js$/;

const here = dirname(fileURLToPath(import.meta.url));
const top = join(here, "..", "..");

/** The folder of one of them. */
export function packageDir(name: string): string {
	return join(top, name === "device-agent" ? name : `toolkit/${name}`);
}

/**
 * A copy of the code with one change, beside the original so that everything else resolves to what is
 * installed. (Node's own module hooks would do without a copy; in Node 20 they hang now and then.)
 * @returns its folder; the main is `disk-faults-main.js` in it
 */
export async function makeMutant(mutation: Mutation): Promise<string> {
	const dir = await mkdtemp(join(here, "mutant-"));
	for (const name of PACKAGES) {
		const from = packageDir(name);
		const to = join(dir, "node_modules", "@wattvox", name);
		await mkdir(to, { recursive: true });
		await cp(join(from, "package.json"), join(to, "package.json"));
		await cp(join(from, "dist"), join(to, "dist"), {
			recursive: true,
			filter: (path) => !/\.(test\.js|d\.ts|map|tsbuildinfo)$/.test(path),
		});
		// packages that npm did not hoist
		const own = join(from, "node_modules");
		if (existsSync(own)) await symlink(own, join(to, "node_modules"));
	}
	for (const main of await readdir(here))
		if (MAIN_FILE.test(main)) await cp(join(here, main), join(dir, main));
	const path = join(dir, "node_modules", "@wattvox", mutation.file);
	const parts = (await readFile(path, "utf8")).split(mutation.find);
	const nth = mutation.nth ?? 0;
	// a mutation that finds nothing would prove nothing
	if (parts.length < nth + 2)
		throw new Error(`${mutation.file} has no "${mutation.find}"`);
	const before = parts.slice(0, nth + 1).join(mutation.find);
	const after = parts.slice(nth + 1).join(mutation.find);
	await writeFile(path, before + mutation.replace + after);
	return dir;
}
