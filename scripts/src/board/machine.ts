import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { systemClock } from "@wattvox/core";
import { listen } from "../arm64/emulation.ts";
import type { Board } from "./board.ts";
import { Shell } from "./shell.ts";

/** What the machine starts from. */
export interface Machinery {
	/** Of QEMU's own, for example cortex-a76. */
	cpu: string;
	image: string;
	initrd: string;
	disk: string;
	/** For the line's socket and the console's log. */
	dir: string;
}

/** Where the board's network ends in the line to its shell: address and port. */
const LINE = ["10.0.2.100", "7777"];
/** The board's address behind QEMU's user-mode network, and this machine's loopback there. */
const [ADDRESS, HOST] = ["10.0.2.15/24", "10.0.2.2"];

/** A shell for the machine outside, which also brings the network up. */
const SHELL = `[Unit]
Description=a shell for the machine outside
[Service]
ExecStartPre=/sbin/ip link set lo up
ExecStartPre=/sbin/ip address add ${ADDRESS} dev eth0
ExecStartPre=/sbin/ip link set eth0 up
ExecStart=/bin/bash -c "exec sh <>/dev/tcp/${LINE.join("/")} >&0"
WorkingDirectory=/root
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
StandardError=journal+console
Restart=always
RestartSec=1
`;

/** Emulation is slow: systemd is not to give a start up after its 90 s. */
const PATIENCE = `[Manager]
DefaultTimeoutStartSec=20min
`;

/** Nobody logs in. */
const MASKED = [
	...["systemd-update-utmp", "systemd-update-utmp-runlevel"],
	...["getty@tty1", "serial-getty@ttyAMA0"],
].map((name) => `${name}.service`);

/** What a system wants in addition when it runs in a machine of its own. */
export async function furnishMachine(root: string): Promise<void> {
	const units = join(root, "etc/systemd/system");
	const wants = join(units, "multi-user.target.wants");
	await mkdir(wants, { recursive: true });
	await mkdir(join(root, "etc/systemd/system.conf.d"), { recursive: true });
	const patience = join(root, "etc/systemd/system.conf.d/patience.conf");
	await writeFile(patience, PATIENCE);
	await writeFile(join(units, "outside.service"), SHELL);
	await symlink("../outside.service", join(wants, "outside.service"));
	for (const unit of MASKED) await symlink("/dev/null", join(units, unit));
}

/**
 * Options of the emulator: two processors, 3 GB, a disk, a network card. What the system flushes is not
 * flushed here, for speed: it outlives this machine's emulator, not this machine.
 */
function options(of: Machinery): string[] {
	const { cpu, image, initrd, disk, dir } = of;
	return [
		...["-machine", "virt", "-cpu", cpu],
		// both processors at a time; room for what V8 compiles anew all the time
		...["-accel", "tcg,thread=multi,tb-size=512"],
		...["-smp", "2", "-m", "3G"],
		...["-nodefaults", "-display", "none", "-no-reboot"],
		...["-kernel", image, "-initrd", initrd],
		...[
			"-append",
			"console=ttyAMA0 rw loglevel=4 net.ifnames=0 audit=0 mitigations=off",
		],
		...["-drive", `if=none,id=disk,file=${disk},format=raw,cache=unsafe`],
		...["-device", "virtio-blk-pci,drive=disk,romfile="],
		...[
			"-chardev",
			`socket,id=line,path=${join(dir, "line")},server=on,wait=off`,
		],
		...["-netdev", `user,id=net,guestfwd=tcp:${LINE.join(":")}-chardev:line`],
		...["-device", "virtio-net-pci,netdev=net,romfile="],
		...["-device", "virtio-rng-pci"],
		...[
			"-chardev",
			`file,id=console,path=${join(dir, "console.log")},append=on`,
		],
		...["-serial", "chardev:console"],
	];
}

export const QEMU = "qemu-system-aarch64";
/** It ends when this process does. */
const START = ["--pdeathsig", "KILL"];

/** A whole 64-bit ARM machine in QEMU. */
export class Machine implements Board {
	readonly what: string;
	readonly host = HOST;
	readonly port = 8420;
	readonly #of: Machinery;
	#child: ChildProcess | undefined;
	#line: Socket | undefined;

	constructor(of: Machinery) {
		this.#of = of;
		this.what = `${QEMU} -cpu ${of.cpu}`;
	}

	async start(signal: AbortSignal): Promise<Shell> {
		const path = join(this.#of.dir, "line");
		await rm(path, { force: true });
		const child = spawn("setpriv", [...START, QEMU, ...options(this.#of)], {
			stdio: ["ignore", "pipe", "pipe"],
		});
		this.#child = child;
		const said = listen(child);
		const gone = new AbortController();
		child.once("error", (error) => gone.abort(error));
		child.once("exit", () => gone.abort(new Error(`${QEMU}: ${said()}`)));
		const either = AbortSignal.any([signal, gone.signal]);
		for (;;) {
			const line = connect(path);
			try {
				await once(line, "connect", { signal: either });
				this.#line = line;
				break;
			} catch {
				line.destroy();
				either.throwIfAborted();
				await systemClock.sleep(100, either);
			}
		}
		const shell = new Shell(this.#line);
		// what is written before the system is up waits in the line
		await shell.run("true", either);
		return shell;
	}

	async cut(): Promise<void> {
		this.#line?.destroy();
		const child = this.#child;
		this.#child = undefined;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const exit = once(child, "exit");
		child.kill("SIGKILL");
		await exit;
	}
}
