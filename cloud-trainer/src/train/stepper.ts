import { Worker } from "node:worker_threads";
import { WattvoxError } from "@wattvox/core";
import type { Tensor } from "@wattvox/onnx";
import type { Reply, Request, RunResult, StepperInit } from "./protocol.ts";

type Unsent<T> = T extends unknown ? Omit<T, "id"> : never;

/**
 * Trains in a worker thread. It owns the weights and the optimiser's state, feeds them to whichever
 * program runs, and swaps in what a training step wrote; the event loop never waits for ONNX Runtime.
 */
export class Stepper {
	readonly #init: StepperInit;
	#worker: Worker | undefined;
	#next = 0;
	readonly #waiting = new Map<
		number,
		{ resolve: (value: unknown) => void; reject: (error: Error) => void }
	>();

	constructor(init: StepperInit) {
		this.#init = init;
	}

	/** Starts the worker and loads the programs. @throws WattvoxError E_MODEL */
	async start(): Promise<void> {
		const worker = new Worker(new URL("./stepper-worker.js", import.meta.url));
		this.#worker = worker;
		worker.on("message", (reply: Reply) => {
			const waiting = this.#waiting.get(reply.id);
			this.#waiting.delete(reply.id);
			if (reply.ok) waiting?.resolve(reply.value);
			else waiting?.reject(new WattvoxError("E_MODEL", reply.message));
		});
		const fail = (why: Error) => {
			for (const { reject } of this.#waiting.values()) reject(why);
			this.#waiting.clear();
		};
		worker.on("error", (error) =>
			fail(
				new WattvoxError(
					"E_MEMORY",
					`the training worker failed: ${error.message}`,
				),
			),
		);
		worker.on("exit", () =>
			fail(new WattvoxError("E_BUG", "the training worker ended")),
		);
		await this.#ask({ kind: "init", init: this.#init });
	}

	/**
	 * Runs a program. Training programs replace the state, unless the output named `guard` is not
	 * finite: then the step is dropped and `applied` is false.
	 */
	run(
		program: string,
		feeds: Record<string, Tensor>,
		guard?: string,
	): Promise<RunResult> {
		return this.#ask({
			kind: "run",
			program,
			feeds,
			...(guard ? { guard } : {}),
		}) as Promise<RunResult>;
	}

	/** A copy of the state (all of it, or the named tensors). */
	state(names?: string[]): Promise<Map<string, Tensor>> {
		return this.#ask({ kind: "state", ...(names ? { names } : {}) }) as Promise<
			Map<string, Tensor>
		>;
	}

	/** Replaces state tensors, as from a checkpoint. */
	async load(state: Map<string, Tensor>): Promise<void> {
		await this.#ask({ kind: "load", state });
	}

	/** Ends the worker. */
	async stop(): Promise<void> {
		const worker = this.#worker;
		if (!worker) return;
		this.#worker = undefined;
		worker.removeAllListeners("exit");
		await worker.terminate();
		for (const { reject } of this.#waiting.values())
			reject(new WattvoxError("E_INTERRUPTED", "training was stopped"));
		this.#waiting.clear();
	}

	#ask(request: Unsent<Request>): Promise<unknown> {
		const worker = this.#worker;
		if (!worker) throw new WattvoxError("E_BUG", "the stepper is not started");
		const id = this.#next++;
		return new Promise((resolve, reject) => {
			this.#waiting.set(id, { resolve, reject });
			worker.postMessage({ ...request, id });
		});
	}
}
