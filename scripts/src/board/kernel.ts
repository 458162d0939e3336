import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type Entry, newc } from "./newc.ts";

/** Modules between the kernel and its root file system, network and line, in loading order. */
const MODULES = [
	...["crypto/crc32c_generic", "lib/crc16", "fs/mbcache", "fs/jbd2/jbd2"],
	...["fs/ext4/ext4", "drivers/virtio/virtio", "drivers/virtio/virtio_ring"],
	...["drivers/virtio/virtio_pci", "drivers/block/virtio_blk"],
	...["net/core/failover", "drivers/net/net_failover"],
	...["drivers/net/virtio_net"],
	...["drivers/char/hw_random/rng-core", "drivers/char/hw_random/virtio-rng"],
];

const START = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /bin/busybox insmod $module; done
while [ ! -b /dev/vda ]; do /bin/busybox usleep 100000; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /sbin/init
`;

/**
 * Debian's kernel and a first root file system that mounts the disk.
 * @param packages the unpacked linux-image
 * @param busybox a static one
 * @returns files for QEMU's -kernel and -initrd
 */
export async function kernel(
	packages: string,
	busybox: string,
	to: string,
): Promise<{ image: string; initrd: string }> {
	const [version] = await readdir(join(packages, "lib/modules"));
	if (!version) throw new Error(`no kernel in ${packages}`);
	const folder = join(packages, "lib/modules", version, "kernel");
	const modules: Entry[] = await Promise.all(
		MODULES.map(async (name, at) => ({
			path: `modules/${String(at).padStart(2, "0")}-${basename(name)}`,
			mode: 0o644,
			bytes: await readFile(join(folder, `${name}.ko`)),
		})),
	);
	const initrd = join(to, "initrd");
	await writeFile(
		initrd,
		newc([
			...["bin", "dev", "modules", "root"].map((path) => ({
				path,
				mode: 0o755,
			})),
			{ path: "bin/busybox", mode: 0o755, bytes: await readFile(busybox) },
			...modules,
			{ path: "init", mode: 0o755, bytes: Buffer.from(START) },
		]),
	);
	const image = join(packages, "boot", `vmlinuz-${version}`);
	return { image, initrd };
}
