import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { childrenOf, systemClock } from "@wattvox/core";
import { listen } from "../arm64/emulation.ts";
import type { Board } from "./board.ts";
import { Shell } from "./shell.ts";

/** Gives what follows a control group of its own, and puts it at the head of that. */
const GROUP = `set -eu
mount -t cgroup2 cgroup2 "$2"
mkdir -p "$2/$3"
echo $$ >"$2/$3/cgroup.procs"
umount "$2"
exec unshare --pid --fork --kill-child --uts --ipc --cgroup sh -c "$4" sh "$1"
`;

/** Takes the control group away again, with those that systemd made in it. */
const UNGROUP = `mount -t cgroup2 cgroup2 "$1"
cd "$1" && find "$2" -depth -type d -exec rmdir {} +
`;

/**
 * Turns a folder into what systemd expects of a container (systemd.io/CONTAINER_INTERFACE): this
 * machine's settings can be read and not written, of its devices only those that hold nothing are there.
 */
const INSIDE = `set -eu
cd "$1"
mount --make-rprivate /
mount --bind . .
cd "$1"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
for name in null zero full random urandom tty; do
	: >dev/$name
	mount --bind /dev/$name dev/$name
done
mkdir -p dev/pts dev/shm mnt/old
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs shm dev/shm
mount -t tmpfs -o mode=755 run run
pivot_root . mnt/old
umount -l /mnt/old
rmdir /mnt/old
exec env -i container=wattvox PATH=/usr/sbin:/usr/bin:/sbin:/bin setpriv \\
	--bounding-set=-sys_time,-sys_module,-sys_rawio,-sys_boot,-syslog,-net_admin,-audit_control,-wake_alarm \\
	--inh-caps=-all /lib/systemd/systemd --show-status=0
`;

/** It ends when this process does, however that ends. */
const WITH_US = ["--pdeathsig", "KILL"];
/** Into all namespaces of the container; the network is this machine's. */
const ENTER = ["--mount", "--uts", "--ipc", "--pid", "--cgroup"];
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A system in namespaces of this machine, with systemd as its first process. Wants root. */
export class Container implements Board {
	readonly what = "in namespaces of this machine";
	readonly host = "127.0.0.1";
	/** Of the agent's speech API: the network is this machine's. */
	readonly port: number;
	readonly #root: string;
	readonly #dir: string;
	readonly #group = `wattvox-board-${process.pid}`;
	#child: ChildProcess | undefined;
	#inside: ChildProcess | undefined;

	constructor(root: string, dir: string, port: number) {
		this.#root = root;
		this.#dir = join(dir, "cgroup");
		this.port = port;
	}

	/** With a port that is free now. */
	static async at(root: string, dir: string): Promise<Container> {
		const server = createServer().listen(0, "127.0.0.1");
		await once(server, "listening");
		const address = server.address();
		server.close();
		await once(server, "close");
		const port = typeof address === "object" ? address?.port : undefined;
		return new Container(root, dir, port as number);
	}

	async start(signal: AbortSignal): Promise<Shell> {
		await mkdir(this.#dir, { recursive: true });
		const script = [this.#root, this.#dir, this.#group, INSIDE];
		const child = spawn(
			"setpriv",
			[...WITH_US, "unshare", "--mount", "sh", "-c", GROUP, "sh", ...script],
			{ stdio: ["ignore", "pipe", "pipe"] },
		);
		this.#child = child;
		const said = listen(child);
		const gone = new AbortController();
		child.once("error", (error) => gone.abort(error));
		child.once("exit", () => gone.abort(new Error(`systemd: ${said()}`)));
		const either = AbortSignal.any([signal, gone.signal]);
		for (;;) {
			either.throwIfAborted();
			const first = childrenOf(child.pid as number)[0];
			// systemd listens for systemctl: the folder has become a system
			const up = first && ["test", "-S", "/run/systemd/private"];
			if (up && (await ended(within(first, up))) === 0) {
				this.#inside = within(first, ["sh"], ["pipe", "pipe", "inherit"]);
				const { stdin, stdout } = this.#inside;
				if (stdin && stdout)
					return new Shell(Duplex.from({ writable: stdin, readable: stdout }));
			}
			await systemClock.sleep(100, either);
		}
	}

	async cut(): Promise<void> {
		const child = this.#child;
		this.#child = undefined;
		if (!child) return;
		if (child.exitCode === null && child.signalCode === null) {
			const exit = once(child, "exit");
			// the first process goes with the one that waits for it, and takes all others along
			child.kill("SIGKILL");
			await exit;
		}
		if (this.#inside) await ended(this.#inside);
		const script = ["-c", UNGROUP, "sh", this.#dir, this.#group];
		await ended(spawn("unshare", ["--mount", "sh", ...script]));
	}
}

function within(
	first: number,
	command: readonly string[],
	stdio: ("ignore" | "inherit" | "pipe")[] = ["ignore", "ignore", "ignore"],
): ChildProcess {
	const into = ["--target", `${first}`, ...ENTER];
	const env = ["env", "-i", "HOME=/root", `PATH=${PATH}`];
	return spawn("nsenter", [...into, ...env, ...command], { stdio });
}

async function ended(child: ChildProcess): Promise<number | null> {
	if (child.exitCode !== null || child.signalCode !== null)
		return child.exitCode;
	const [code] = (await once(child, "exit")) as [number | null];
	return code;
}
