import { existsSync, readFileSync } from "node:fs";
import { descendantsOf } from "./process-tree.ts";

/** The most memory that a program and its children held. */
export interface PeakMemory {
	/** The most at one moment, all processes added, bytes. */
	bytes: number;
	/** The most that this process alone held, by the kernel's count, bytes. */
	own: number;
	/** The most that the children together held, as sampled, bytes; null where the kernel does not list them. */
	children: number | null;
}

export interface MemoryWatchOptions {
	/** Milliseconds between samples. */
	everyMs?: number;
	/** For tests: the folder that stands for /proc, and the process that is watched. */
	proc?: string;
	pid?: number;
	/** For tests: bytes, the kernel's own record of this process's most. */
	ownPeak?: () => number;
}

/**
 * Watches resident memory, this process's and that of all that descends from it.
 *
 * The kernel keeps this process's own peak exactly. There is no such record for a sum, so that is
 * sampled: a child's peak between two samples is missed. A page that two processes share counts in both.
 */
export class MemoryWatch {
	readonly #everyMs: number;
	readonly #proc: string;
	readonly #pid: number;
	readonly #ownPeak: () => number;
	#timer: NodeJS.Timeout | undefined;
	#together = 0;
	#children = 0;

	constructor(options: MemoryWatchOptions = {}) {
		this.#everyMs = options.everyMs ?? 500;
		this.#proc = options.proc ?? "/proc";
		this.#pid = options.pid ?? process.pid;
		// resourceUsage counts kilobytes of 1024
		this.#ownPeak =
			options.ownPeak ?? (() => process.resourceUsage().maxRSS * 1024);
	}

	/** Begins to sample. */
	start(): void {
		if (this.#timer) return;
		this.sample();
		this.#timer = setInterval(() => this.sample(), this.#everyMs);
		this.#timer.unref();
	}

	/** Looks once, now. */
	sample(): void {
		let children = 0;
		for (const pid of descendantsOf(this.#pid, this.#proc))
			children += this.#resident(pid);
		this.#children = Math.max(this.#children, children);
		this.#together = Math.max(
			this.#together,
			this.#resident(this.#pid) + children,
		);
	}

	/** What it came to so far. */
	peak(): PeakMemory {
		const own = this.#ownPeak();
		return {
			bytes: Math.max(own, this.#together),
			own,
			children: this.#listed() ? this.#children : null,
		};
	}

	/** Ends sampling. Idempotent. */
	stop(): PeakMemory {
		clearInterval(this.#timer);
		this.#timer = undefined;
		return this.peak();
	}

	/** Whether the kernel tells which processes are children. */
	#listed(): boolean {
		return existsSync(`${this.#proc}/${this.#pid}/task/${this.#pid}/children`);
	}

	/** VmRSS of /proc/PID/status (proc(5)), bytes; 0 for a process that is gone. */
	#resident(pid: number): number {
		try {
			const status = readFileSync(`${this.#proc}/${pid}/status`, "utf8");
			return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
		} catch {
			return 0;
		}
	}
}

/** "1.43 GB (this process 1.2, its children 0.3)". */
export function formatPeakMemory({ bytes, own, children }: PeakMemory): string {
	const gb = (n: number) => (n / 1e9).toFixed(2);
	return `${gb(bytes)} GB (this process ${gb(own)}, its children ${children === null ? "unknown" : gb(children)})`;
}
