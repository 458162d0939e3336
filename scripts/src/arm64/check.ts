import { execFile } from "node:child_process";
import { mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import { promisify } from "node:util";
import { WattvoxError } from "@wattvox/core";
import {
	closure,
	type Installed,
	type LockEntry,
	onLinuxArm64,
} from "./closure.ts";
import { elfNeeds, unfitForJetPack5 } from "./elf.ts";

const run = promisify(execFile);

/** What was found in one package that brings machine code. */
export interface PackageCheck {
	name: string;
	version: string;
	/** Its files for 64-bit ARM Linux, and why each would not load on JetPack 5. */
	files: { path: string; why: string[] }[];
}

/** A lock file's packages. @throws WattvoxError E_FILE_FORMAT */
export async function readLock(
	path: string,
): Promise<Record<string, LockEntry>> {
	const lock = JSON.parse(await readFile(path, "utf8"));
	if (lock.lockfileVersion !== 3)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`${path} is no lock file of npm 7+`,
		);
	return lock.packages;
}

/** The device's packages, and those of them that npm could not install on 64-bit ARM Linux. */
export function devicePackages(packages: Readonly<Record<string, LockEntry>>): {
	wanted: Installed[];
	barred: Installed[];
} {
	const all = closure(packages, "device-agent");
	return {
		wanted: all.filter((p) => onLinuxArm64(p.entry)),
		barred: all.filter((p) => !p.optional && !onLinuxArm64(p.entry)),
	};
}

const isBinary = (path: string) => /\.(?:node|so(?:\.\d+)*)$/.test(path);
/** Whether a path is of another system or processor than 64-bit ARM Linux with glibc. */
const elsewhere = (path: string) =>
	/(?:^|[/_-])(?:x64|x86_64|ia32|win32|darwin|android|musl\w*|arm|armhf)(?=[/_.-]|$)/.test(
		path,
	);

/**
 * Checks a package's folder. A package that has machine code, but none for 64-bit ARM Linux, comes with
 * no files.
 * @returns undefined when it has no machine code
 */
export async function checkFolder(
	dir: string,
): Promise<PackageCheck["files"] | undefined> {
	const entries = await readdir(dir, { recursive: true });
	const binaries = entries.filter(
		(e) => isBinary(e) && !/(?:^|\/)node_modules\//.test(e),
	);
	if (binaries.length === 0) return undefined;
	const own = binaries.filter((e) => !elsewhere(e));
	const beside = own.map((e) => basename(e));
	return Promise.all(
		own.map(async (path) => ({
			path,
			why: unfitForJetPack5(elfNeeds(await readFile(join(dir, path))), beside),
		})),
	);
}

/**
 * All machine code of a folder, by its first bytes, and why each would not load on JetPack 5. Files of
 * another system or C library than 64-bit ARM Linux with glibc, as their paths name them, are left out.
 */
export async function machineCode(
	dir: string,
): Promise<{ path: string; why: string[] }[]> {
	const files = (
		await readdir(dir, { recursive: true, withFileTypes: true })
	).filter((entry) => entry.isFile());
	const found: { path: string; why: string[] }[] = [];
	for (const { parentPath, name } of files) {
		const path = relative(dir, join(parentPath, name));
		if (elsewhere(path) || !(await isElf(join(dir, path)))) continue;
		const needs = elfNeeds(await readFile(join(dir, path)));
		const beside = await readdir(parentPath);
		found.push({ path, why: unfitForJetPack5(needs, beside) });
	}
	return found;
}

async function isElf(path: string): Promise<boolean> {
	const file = await open(path);
	try {
		const head = Buffer.alloc(4);
		await file.read(head, 0, 4, 0);
		return head.equals(Buffer.from("\x7fELF", "latin1"));
	} finally {
		await file.close();
	}
}

/** A package from npm's registry, unpacked where `use` finds it, and gone after. */
export async function fetched<T>(
	name: string,
	version: string,
	use: (dir: string) => Promise<T>,
): Promise<T> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-arm64-"));
	try {
		await run("npm", ["pack", "--silent", `${name}@${version}`], { cwd: dir });
		const [file] = await readdir(dir);
		await run("tar", ["-xzf", file as string], { cwd: dir });
		return await use(join(dir, "package"));
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}
