import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { WattvoxError } from "@wattvox/core";
import { processFacts } from "../processes.ts";
import { PLAIN, type StepAnswer } from "./child.ts";
import type { OpTime } from "./profile.ts";

/** A python3 that has torch. */
export interface TorchPython {
	path: string;
	version: string;
}

/** The first of the given interpreters that can load torch; undefined when none can. */
export async function findTorch(
	paths: readonly string[],
): Promise<TorchPython | undefined> {
	for (const path of paths) {
		try {
			const { stdout } = await promisify(execFile)(
				path,
				["-c", "import torch; print(torch.__version__)"],
				{ timeout: 60_000 },
			);
			return { path, version: stdout.trim() };
		} catch {}
	}
	return undefined;
}

const OURS = fileURLToPath(new URL("./child.js", import.meta.url));
const TORCH = fileURLToPath(
	new URL("../../../torch/train.py", import.meta.url),
);

/** A process that takes training steps when it is told to. */
export class Side {
	readonly #process: ChildProcess;
	readonly #lines: AsyncIterator<string>;
	/** Resident bytes when it is ready for its first step: model, batch and optimiser are there. */
	idle = 0;
	version = "";
	parameters = 0;

	private constructor(child: ChildProcess) {
		this.#process = child;
		if (!child.stdout) throw new WattvoxError("E_BUG", "no pipe");
		this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
	}

	/** Starts our side, our side without recomputation, or with `python` the other, on the task in a folder. */
	static async start(
		folder: string,
		threads: number,
		signal: AbortSignal,
		{ python, plain }: { python?: string; plain?: boolean } = {},
	): Promise<Side> {
		const [program, ...args] = python
			? [python, TORCH, folder]
			: [
					process.execPath,
					"--expose-gc",
					OURS,
					folder,
					...(plain ? [PLAIN] : []),
				];
		const child = spawn(program, args, {
			stdio: ["pipe", "pipe", "inherit"],
			env: {
				...process.env,
				OMP_NUM_THREADS: String(threads),
				OPENBLAS_NUM_THREADS: String(threads),
			},
			signal,
		});
		// An abort is told by the pipe's end.
		child.on("error", () => undefined);
		const side = new Side(child);
		const first = (await side.#answer()) as {
			version: string;
			parameters: number;
		};
		Object.assign(side, first);
		side.idle = (await side.facts()).rss;
		return side;
	}

	facts() {
		return processFacts(this.#process.pid ?? 0);
	}

	step(count: number): Promise<StepAnswer> {
		return this.#ask(`step ${count}`) as Promise<StepAnswer>;
	}

	/** A large product of matrices, GFLOP/s. */
	async matmul(): Promise<number> {
		return ((await this.#ask("matmul")) as { gflops: number }).gflops;
	}

	/** Our operators by time; ours only. */
	profile(): Promise<OpTime[]> {
		return this.#ask("profile") as Promise<OpTime[]>;
	}

	async #ask(command: string): Promise<unknown> {
		this.#process.stdin?.write(`${command}\n`);
		return this.#answer();
	}

	async #answer(): Promise<unknown> {
		const line = await this.#lines.next();
		if (line.done)
			throw new WattvoxError(
				"E_MODEL",
				"a side of the comparison ended early: its message is above",
			);
		return JSON.parse(line.value);
	}

	/** Ends the process; may be called again. */
	async stop(): Promise<void> {
		const child = this.#process;
		if (child.exitCode !== null || child.signalCode !== null) return;
		const gone = once(child, "exit");
		child.stdin?.end();
		await gone;
	}
}
