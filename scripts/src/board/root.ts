import {
	chmod,
	copyFile,
	mkdir,
	readFile,
	symlink,
	writeFile,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * What the board's system consists of; packages that these depend on come with them, but not those that
 * every Debian has.
 */
export const SYSTEM = [
	...["base-files", "base-passwd", "bash", "busybox-static", "coreutils"],
	...[
		"dash",
		"findutils",
		"grep",
		"gzip",
		"hostname",
		"libc-bin",
		"libstdc++6",
	],
	...["login", "passwd", "sed", "tar", "util-linux"],
	...["alsa-utils", "iproute2", "procps", "systemd-sysv", "udev"],
];

/** What this board has no use for. */
const MASKED = [
	...["console-getty", "systemd-hwdb-update", "systemd-logind"],
	...["systemd-journal-catalog-update", "systemd-timesyncd"],
].map((name) => `${name}.service`);

/**
 * Turns unpacked packages into a system that boots to multi-user.target: what their install scripts would
 * have made: accounts, a name, what starts.
 * @param files go to the board's /root
 */
export async function furnish(
	root: string,
	files: readonly string[],
): Promise<void> {
	const write = async (path: string, text: string, mode = 0o644) => {
		const to = join(root, path);
		await mkdir(dirname(to), { recursive: true });
		await writeFile(to, text);
		await chmod(to, mode);
	};
	const link = async (path: string, to: string) => {
		await mkdir(dirname(join(root, path)), { recursive: true });
		await symlink(to, join(root, path));
	};
	const master = (name: string) =>
		readFile(join(root, `usr/share/base-passwd/${name}.master`), "utf8");
	const accounts = await master("passwd");
	await write("etc/passwd", accounts.replaceAll(":*:", ":x:"));
	await write("etc/group", (await master("group")).replaceAll(":*:", ":x:"));
	const names = accounts.trim().split("\n");
	await write(
		"etc/shadow",
		names
			.map((line) => `${line.split(":")[0]}:*:19000:0:99999:7:::\n`)
			.join(""),
		0o600,
	);
	await write("etc/hostname", "board\n");
	await write("etc/hosts", "127.0.0.1 localhost board\n::1 localhost\n");
	// with an id of its own, systemd asks no questions of a first start
	await write("etc/machine-id", `${"77".repeat(16)}\n`);
	const units = "etc/systemd/system";
	await link(
		`${units}/default.target`,
		"/lib/systemd/system/multi-user.target",
	);
	for (const unit of MASKED) await link(`${units}/${unit}`, "/dev/null");
	for (const file of files)
		await copyFile(file, join(root, "root", basename(file)));
}
