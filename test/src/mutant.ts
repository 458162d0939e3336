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
	/** In which package's dist. */
	file: `${(typeof PACKAGES)[number] | "fleet"}/dist/${string}.js`;
	find: string;
	/** Which of several such places, from 0. */
	nth?: number;
	replace: string;
}

/** A mutation that the faults of the disk must notice. */
export interface DiskMutation extends Mutation {
	/** The part of them that must. */
	part: Part;
}

/** What the faults of the disk run through, and where it lies. */
export const PACKAGES = ["core", "bundle", "link", "device-agent"] as const;

const here = dirname(fileURLToPath(import.meta.url));
const top = join(here, "..", "..");

/** The folder of one of them. */
export function packageDir(name: string): string {
	return join(top, name === "device-agent" ? name : `toolkit/${name}`);
}

/**
 * A copy of the code with one change, beside the original so that everything else resolves to what is
 * installed. (Node's own module hooks would do without a copy; in Node 20 they hang now and then.)
 * @param mains the programs of this package that go with it
 * @param more packages to be copied because they use what is changed
 * @returns its folder, with the mains in it
 */
export async function makeMutant(
	mutation: Mutation,
	mains: RegExp,
	more: readonly string[] = [],
): Promise<string> {
	const dir = await mkdtemp(join(here, "mutant-"));
	const changed = mutation.file.split("/")[0] ?? "";
	for (const name of new Set([...PACKAGES, ...more, changed])) {
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
		if (mains.test(main)) await cp(join(here, main), join(dir, main));
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
