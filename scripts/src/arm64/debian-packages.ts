import { execFile } from "node:child_process";
import { access, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { WattvoxError } from "@wattvox/core";

const exec = promisify(execFile);
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Where packages come from. */
export interface Suite {
	/** For example http://deb.debian.org/debian */
	mirror: string;
	/** For example bullseye. */
	name: string;
	/** As Debian names it, for example amd64. */
	processor: string;
}

/**
 * Debian's packages for another system than this one, fetched and unpacked without touching this machine's system: apt keeps
 * its lists, its state and what it fetched in a folder of ours.
 */
export class DebianPackages {
	readonly #dir: string;
	readonly #suite: Suite | undefined;

	/** @param suite by default what this machine itself uses, for 64-bit ARM */
	constructor(dir: string, suite?: Suite) {
		this.#dir = dir;
		this.#suite = suite;
	}

	/**
	 * Fetches the named packages; with `whole` also those that they depend on, without recommended ones.
	 * What was fetched before is not fetched again.
	 * @returns the packages' files
	 * @throws WattvoxError E_FILE_MISSING when a program or a package is not to be had
	 */
	async fetch(
		names: readonly string[],
		signal: AbortSignal,
		whole = false,
	): Promise<string[]> {
		await wanted(["/usr/bin/apt-get", "/usr/bin/dpkg-deb"], "apt and dpkg");
		const options = await this.#options();
		const packages = join(this.#dir, "cache/archives");
		await must("apt-get", [...options, "update"], { signal });
		await must(
			"apt-get",
			whole
				? [...options, "install", "--yes", "--download-only", ...names]
				: [...options, "download", ...names],
			{ cwd: packages, signal },
		);
		const files = await readdir(packages);
		return files
			.filter((file) => file.endsWith(".deb"))
			.map((file) => join(packages, file));
	}

	/** Options under which apt sees nothing but this folder. */
	async #options(): Promise<string[]> {
		const at = (...path: string[]) => join(this.#dir, ...path);
		for (const made of ["lists/partial", "cache/archives/partial"])
			await mkdir(at(made), { recursive: true });
		// apt locks the folder of this file, too
		await writeFile(at("status"), "");
		const processor = this.#suite?.processor ?? "arm64";
		const options = [
			`APT::Architecture=${processor}`,
			`APT::Architectures=${processor}`,
			...[`Dir::State::status=${at("status")}`, "APT::Sandbox::User="],
			...[`Dir::State=${this.#dir}`, `Dir::State::lists=${at("lists")}`],
			...[`Dir::Cache=${at("cache")}`, "APT::Install-Recommends=false"],
		];
		if (this.#suite) {
			const { mirror, name } = this.#suite;
			const list = at("sources.list");
			await writeFile(
				list,
				`deb [signed-by=${KEYRING}] ${mirror} ${name} main\n`,
			);
			options.push(`Dir::Etc::sourcelist=${list}`);
			options.push("Dir::Etc::sourceparts=/dev/null");
		}
		return ["-qq", ...options.flatMap((option) => ["-o", option])];
	}
}

/** Unpacks packages into a folder; none of their scripts runs. */
export async function unpack(
	packages: readonly string[],
	into: string,
	signal: AbortSignal,
): Promise<void> {
	await mkdir(into, { recursive: true });
	for (const file of packages)
		await must("dpkg-deb", ["-x", file, into], { signal });
}

/** @throws WattvoxError E_FILE_MISSING that names what to install */
export async function wanted(
	programs: readonly string[],
	from: string,
): Promise<void> {
	for (const program of programs)
		await access(program).catch(() => {
			throw new WattvoxError(
				"E_FILE_MISSING",
				`${program} is not here: this wants Debian's ${from}`,
			);
		});
}

/** @throws WattvoxError E_FILE_MISSING with the program's words when it fails; the signal's reason */
export async function must(
	program: string,
	args: readonly string[],
	options: { cwd?: string; signal: AbortSignal },
): Promise<void> {
	await exec(program, args, { maxBuffer: 64e6, ...options }).catch((cause) => {
		options.signal.throwIfAborted();
		throw new WattvoxError(
			"E_FILE_MISSING",
			`${program}: ${String(cause.stderr ?? cause.message).trim()}`,
			{ cause },
		);
	});
}
