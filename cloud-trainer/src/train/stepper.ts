import { Worker } from "node:worker_threads";
import { WattvoxError } from "@wattvox/core";
import type { Tensor } from "@wattvox/onnx";
import { noTelemetry } from "@wattvox/runtime";
import type {
	GradientUse,
	Reply,
	Request,
	RunResult,
	SentState,
	StepperInit,
} from "./protocol.ts";

type Unsent<T> = T extends unknown ? Omit<T, "id"> : never;

/**
 * Trains in a worker thread. It owns the weights and the optimiser's state, feeds them to whichever
 * program runs, and swaps in what a training step wrote; the event loop never waits for ONNX Runtime.
 */
export class Stepper {
	readonly #init: StepperInit;
	#worker: Worker | undefined;
	/** Set to 1, it makes the worker skip what it has not begun. */
	#halt = new Int32Array(new SharedArrayBuffer(4));
	#stopping: Promise<void> | undefined;
	#next = 0;
	readonly #waiting = new Map<
		number,
		{ resolve: (value: unknown) => void; reject: (error: Error) => void }
	>();

	constructor(init: StepperInit) {
		this.#init = init;
	}

	/**
	 * Starts the worker and loads the programs.
	 * @throws WattvoxError E_MODEL when a program is no valid model; the worker has ended then
	 */
	async start(): Promise<void> {
		if (this.#worker)
			throw new WattvoxError("E_BUG", "the stepper was started twice");
		this.#halt = new Int32Array(new SharedArrayBuffer(4));
		noTelemetry();
		const worker = new Worker(new URL("./stepper-worker.js", import.meta.url), {
			workerData: this.#halt,
			// What lives there lives for the whole training: a large nursery would only fill with garbage.
			resourceLimits: { maxYoungGenerationSizeMb: 4 },
		});
		this.#worker = worker;
		worker.on("message", (reply: Reply) => {
			const waiting = this.#waiting.get(reply.id);
			this.#waiting.delete(reply.id);
			if (reply.ok) waiting?.resolve(reply.value);
			else waiting?.reject(new WattvoxError("E_MODEL", reply.message));
		});
		worker.on("error", (error) =>
			this.#lose(
				worker,
				new WattvoxError(
					"E_MEMORY",
					`the training worker failed: ${error.message}`,
				),
			),
		);
		worker.on("exit", () =>
			this.#lose(
				worker,
				new WattvoxError("E_BUG", "the training worker ended"),
			),
		);
		try {
			const { state, frozen, ...init } = this.#init;
			const moving = sendable(state);
			const fixed = sendable(frozen ?? new Map());
			await this.#ask(
				{ kind: "init", init, state: moving.sent, frozen: fixed.sent },
				[...moving.buffers, ...fixed.buffers],
			);
		} catch (thrown) {
			await this.stop();
			throw thrown;
		}
	}

	/** Rejects all that waits for a worker that has ended; nothing is sent to it any more. */
	#lose(worker: Worker, why: WattvoxError): void {
		if (this.#worker === worker) this.#worker = undefined;
		for (const { reject } of this.#waiting.values()) reject(why);
		this.#waiting.clear();
	}

	/**
	 * Runs a program. Training programs replace the state, unless the output named `guard` is not
	 * finite: then the step is dropped and `applied` is false.
	 * @param gradients what to do with the gradients that the program makes; a norm that is not finite
	 * drops them
	 */
	run(
		program: string,
		feeds: Record<string, Tensor>,
		guard?: string,
		gradients?: GradientUse,
	): Promise<RunResult> {
		const copies = Object.fromEntries(
			Object.entries(feeds).map(([n, t]) => [n, copied(t)]),
		);
		return this.#ask(
			{
				kind: "run",
				program,
				feeds: copies,
				...(guard ? { guard } : {}),
				...(gradients ? { gradients } : {}),
			},
			Object.values(copies).map((t) => t.data.buffer as ArrayBuffer),
		) as Promise<RunResult>;
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

	/**
	 * Ends the worker; may be called at any time, and again. What still runs or waits is rejected with
	 * E_INTERRUPTED at once; the promise resolves when the running step is over and the worker gone.
	 */
	async stop(): Promise<void> {
		this.#stopping ??= this.#end().finally(() => {
			this.#stopping = undefined;
		});
		await this.#stopping;
	}

	async #end(): Promise<void> {
		const worker = this.#worker;
		if (!worker) return;
		// Not terminate(): inside ONNX Runtime that aborts the whole process.
		const ended = new Promise((resolve) => worker.once("exit", resolve));
		Atomics.store(this.#halt, 0, 1);
		worker.postMessage({ kind: "close", id: -1 } satisfies Request);
		this.#lose(
			worker,
			new WattvoxError("E_INTERRUPTED", "training was stopped"),
		);
		await ended;
	}

	async #ask(
		request: Unsent<Request>,
		give: ArrayBuffer[] = [],
	): Promise<unknown> {
		const worker = this.#worker;
		if (!worker) throw new WattvoxError("E_BUG", "the stepper does not run");
		const id = this.#next++;
		return new Promise((resolve, reject) => {
			this.#waiting.set(id, { resolve, reject });
			worker.postMessage({ ...request, id }, give);
		});
	}
}

/**
 * Copies of tensors whose buffers the worker takes over: a message by itself would hold them twice.
 * Moments begin as zeros, which nobody needs to send.
 */
function sendable(tensors: ReadonlyMap<string, Tensor>): {
	sent: SentState;
	buffers: ArrayBuffer[];
} {
	const buffers: ArrayBuffer[] = [];
	const sent: SentState = new Map();
	for (const [name, t] of tensors) {
		if (t.dtype === "float32" && allZero(t.data as Float32Array)) {
			sent.set(name, t.dims);
			continue;
		}
		const copy = copied(t);
		buffers.push(copy.data.buffer as ArrayBuffer);
		sent.set(name, copy);
	}
	return { sent, buffers };
}

/** A tensor over a buffer of its own, which can be given away. */
const copied = (t: Tensor): Tensor => ({
	...t,
	data: t.data.slice() as Tensor["data"],
});

function allZero(data: Float32Array): boolean {
	for (const e of data) if (!Object.is(e, 0)) return false;
	return true;
}
