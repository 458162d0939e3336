import { access, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
	DebianPackages,
	must,
	unpack,
	wanted,
} from "../arm64/debian-packages.ts";
import { kernel } from "./kernel.ts";
import { furnishMachine, type Machinery, QEMU } from "./machine.ts";
import { furnish, SYSTEM } from "./root.ts";

/** Ubuntu 20.04, which JetPack 5 is made of, has the same C library, 2.31; JetPack 5 and this the same kernel, 5.10. */
const SUITE = "bullseye";

/** Of the machine's disk. */
const DISK_BYTES = 4e9;

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

/**
 * Makes a disk of such a folder, and finds it a kernel.
 * @param cpu of QEMU's own
 * @throws WattvoxError E_FILE_MISSING when a program or a package is not to be had
 */
export async function buildMachine(
	root: string,
	{ mirror, dir }: RootOptions,
	cpu: string,
	signal: AbortSignal,
): Promise<Machinery> {
	await wanted([`/usr/bin/${QEMU}`], "qemu-system-arm");
	await wanted(["/sbin/mke2fs"], "e2fsprogs");
	const suite = { mirror, name: SUITE, processor: "arm64" };
	const wants = ["linux-image-arm64"];
	const packages = new DebianPackages(join(dir, "linux"), suite);
	const linux = await packages.fetch(wants, signal, true);
	const [unpacked, disk] = [join(dir, "kernel"), join(dir, "disk")];
	await rm(unpacked, { recursive: true, force: true });
	await rm(disk, { force: true });
	const image = linux.filter((file) => /\/linux-image-\d/.test(file));
	await unpack(image, unpacked, signal);
	const busybox = join(root, "bin/busybox");
	const boot = await kernel(unpacked, busybox, dir);
	await furnishMachine(root);
	await writeFile(disk, "");
	await truncate(disk, DISK_BYTES);
	await must("/sbin/mke2fs", ["-q", "-t", "ext4", "-d", root, disk], {
		signal,
	});
	return { cpu, ...boot, disk, dir };
}
