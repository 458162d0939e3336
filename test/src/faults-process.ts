import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Role } from "./faults-roles.ts";

const MAIN = fileURLToPath(new URL("./faults-child.js", import.meta.url));

/** A process that is started again whenever it ends, as a service manager would, until `stop`. */
export class Kept {
	readonly #role: () => Role;
	readonly #heard: (message: Record<string, unknown>) => void;
	#child: ChildProcess | undefined;
	#stopped = false;
	#faults: object = {};
	#ready: Promise<number> = Promise.resolve(0);
	#isReady: (port: number) => void = () => undefined;
	/** How often it was started. */
	starts = 0;

	constructor(
		role: () => Role,
		heard: (message: Record<string, unknown>) => void = () => undefined,
	) {
		this.#role = role;
		this.#heard = heard;
	}

	/** Starts it, and waits until it is ready. @returns its port */
	start(): Promise<number> {
		this.#spawn();
		return this.#ready;
	}

	get pid(): number | undefined {
		return this.#child?.pid;
	}

	/** Resolves when it is ready, now or after its next start. */
	get ready(): Promise<number> {
		return this.#ready;
	}

	/** Tells it what goes wrong inside it, also after it was started again. */
	set(faults: object): void {
		this.#faults = { ...this.#faults, ...faults };
		if (this.#child?.connected) this.#child.send(this.#faults, () => undefined);
	}

	/** Has it stand still, all its threads. @returns whether it does: it may just be between two lives */
	async pause(): Promise<boolean> {
		const child = this.#child;
		if (!child?.kill("SIGSTOP")) return false;
		for (;;) {
			const stat = `/proc/${child.pid}/stat`;
			const text = await readFile(stat, "utf8").catch(() => "");
			const state = text.slice(text.lastIndexOf(")") + 2, -1)[0];
			if (state === "T") return true;
			// it was killed meanwhile
			if (state === undefined || state === "Z") return false;
			await delay(1);
		}
	}

	/** Ends {@link pause}. */
	goOn(): void {
		this.#child?.kill("SIGCONT");
	}

	/** Ends it as a power switch would; it comes back. */
	async kill(): Promise<void> {
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode) return;
		const exit = once(child, "exit");
		child.kill("SIGKILL");
		await exit;
	}

	async stop(): Promise<void> {
		this.#stopped = true;
		await this.kill();
	}

	#spawn(): void {
		if (this.#stopped) return;
		this.starts++;
		this.#ready = new Promise((resolve) => {
			this.#isReady = resolve;
		});
		const child = fork(MAIN, [JSON.stringify(this.#role())], {
			stdio: ["ignore", "ignore", "pipe", "ipc"],
		});
		// a port that is still taken, a broker that is away: said again at every start
		child.stderr?.resume();
		this.#child = child;
		child.send(this.#faults, () => undefined);
		child.on("message", (message: Record<string, unknown>) => {
			if (typeof message.ready === "number") this.#isReady(message.ready);
			this.#heard(message);
		});
		child.once("error", () => undefined);
		child.once("exit", () => {
			if (this.#child !== child) return;
			const ready = this.#isReady;
			void delay(100).then(() => {
				this.#spawn();
				// who waited for the last one waits for this one
				void this.#ready.then(ready);
			});
		});
	}
}

/** Processes that `pid` started. */
export async function childrenOf(pid: number | undefined): Promise<number[]> {
	if (pid === undefined) return [];
	const path = `/proc/${pid}/task/${pid}/children`;
	const text = await readFile(path, "utf8").catch(() => "");
	return text.split(" ").filter(Boolean).map(Number);
}

/** What a process runs, its arguments included; "" when it has ended. */
export async function programOf(pid: number): Promise<string> {
	const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
	return text.replaceAll("\0", " ");
}
