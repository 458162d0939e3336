import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { cpuinfo } from "./cpuinfo.ts";
import { DebianPackages, must, unpack, wanted } from "./debian-packages.ts";

const QEMU = "/usr/bin/qemu-aarch64-static";
/** Ubuntu 20.04 under JetPack 5 and this have one C library, 2.31. */
const SUITE = "bullseye";
/** What Node and ONNX Runtime load of the system. */
const LIBRARIES = ["libc6", "libstdc++6", "libgcc-s1"];

/** What is emulated, and with what. */
export interface EmulationOptions {
	/** QEMU's name of the processor. */
	cpu: string;
	/** Debian's, that still has bullseye. */
	mirror: string;
}

/** How a program ended under emulation. */
export interface Ended {
	code: number | null;
	signal: NodeJS.Signals | null;
	/** What it said, both streams as they came; the end of it. */
	said: string;
}

/**
 * The agent's archive for 64-bit ARM, unpacked in a folder of its own beside Debian's libraries for that
 * processor, and run by qemu-user. Nothing of this machine's system is changed: apt keeps its lists and
 * packages in the same folder.
 */
export class Emulation {
	readonly #dir: string;
	readonly #options: EmulationOptions;

	constructor(dir: string, options: EmulationOptions) {
		this.#dir = dir;
		this.#options = options;
	}

	/** The unpacked archive. */
	get release(): string {
		return join(this.#dir, "wattvox-agent");
	}

	/**
	 * Fetches the libraries and unpacks all.
	 * @throws WattvoxError E_FILE_MISSING when a program or a package is not to be had; E_USAGE for a
	 * processor that is not known
	 */
	async prepare(archive: string, signal: AbortSignal): Promise<void> {
		await wanted([QEMU], "qemu-user-static");
		await access(archive).catch(() => {
			throw new WattvoxError("E_FILE_MISSING", `there is no ${archive}`);
		});
		const { cpu, mirror } = this.#options;
		const root = join(this.#dir, "root");
		// qemu-user looks here before it opens this machine's file of that name
		await mkdir(join(root, "proc"), { recursive: true });
		const says = cpuinfo(cpu, cpus().length);
		await writeFile(join(root, "proc/cpuinfo"), says);
		const suite = { mirror, name: SUITE, processor: "arm64" };
		const packages = new DebianPackages(join(this.#dir, "apt"), suite);
		const libraries = await packages.fetch(LIBRARIES, signal);
		await unpack(libraries, root, signal);
		await must("tar", ["-xzf", archive, "-C", this.#dir], { signal });
		const [bin, start] = [join(this.#dir, "bin"), join(this.#dir, "start.mjs")];
		await mkdir(bin, { recursive: true });
		const node = join(bin, "node");
		// the kernel starts no program of another processor: children go by the same way
		await writeFile(start, `process.execPath = ${JSON.stringify(node)};\n`);
		const quoted = [
			...[QEMU, "-cpu", cpu, "-L", root],
			...[join(this.release, "bin/node"), "--import", start],
		].map((word) => `'${word.replaceAll("'", "'\\''")}'`);
		await writeFile(
			node,
			`#!/bin/sh\nulimit -c 0\nexec ${quoted.join(" ")} "$@"\n`,
		);
		await chmod(node, 0o755);
	}

	/** Starts the release's Node. */
	start(args: readonly string[]): ChildProcess {
		const bin = join(this.#dir, "bin");
		return spawn(join(bin, "node"), args, {
			cwd: this.release,
			env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
			stdio: ["ignore", "pipe", "pipe"],
		});
	}

	/** Runs the release's Node to its end, or kills it when its time is over. */
	async run(args: readonly string[], signal: AbortSignal): Promise<Ended> {
		const child = this.start(args);
		const said = listen(child);
		const kill = () => child.kill("SIGKILL");
		signal.addEventListener("abort", kill, { once: true });
		if (signal.aborted) kill();
		const [code, by] = (await once(child, "close")) as [
			number | null,
			NodeJS.Signals | null,
		];
		signal.removeEventListener("abort", kill);
		return { code, signal: by, said: said() };
	}
}

/** Collects what a process says. @returns the last 20 000 characters of it, so far */
export function listen(child: ChildProcess): () => string {
	let text = "";
	for (const stream of [child.stdout, child.stderr])
		stream?.on("data", (bytes) => {
			text = `${text}${bytes}`.slice(-20_000);
		});
	return () => text;
}
