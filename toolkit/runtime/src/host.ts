import { Worker } from "node:worker_threads";
import { WattvoxError } from "@wattvox/core";
import type { Answer, Request } from "./protocol.ts";
import { noTelemetry } from "./telemetry.ts";

/** A request without its number, which the host gives. */
export type Ask = Request extends infer R
	? R extends Request
		? Omit<R, "id">
		: never
	: never;

interface Job {
	request: Request;
	transfer: ArrayBuffer[];
	resolve(value: unknown): void;
	reject(reason: unknown): void;
	/** Called when the worker answers a request nobody waits for any more. */
	orphan?: (id: number) => void;
	abandoned: boolean;
}

/**
 * One worker thread that holds any number of engines and runs one request at a time, in order.
 * The queue is on this side, so that an abandoned run that has not begun never costs anything.
 *
 * INVARIANTS
 * - The thread exists only while an engine or a request needs it.
 * - It keeps the process alive only while a request is under way.
 * - When it dies, all that waited rejects, and the next request starts a new one without the old engines.
 */
export class EngineHost {
	#worker: Worker | undefined;
	#queue: Job[] = [];
	#current: Job | undefined;
	#next = 1;
	#engines = 0;
	#generation = 0;

	readonly #script: URL;

	/** @param script what the thread runs; another one only in tests */
	constructor(script = new URL("./worker.js", import.meta.url)) {
		this.#script = script;
	}

	/** Rises when the thread died: engines of an older generation are gone. */
	get generation(): number {
		return this.#generation;
	}

	/** Whether the thread exists. */
	get running(): boolean {
		return this.#worker !== undefined;
	}

	/**
	 * Asks the worker; the result is whatever its answer holds.
	 * @throws WattvoxError by the worker's code; E_INTERRUPTED when aborted
	 */
	ask<T>(
		ask: Ask,
		options: {
			transfer?: ArrayBuffer[];
			signal?: AbortSignal | undefined;
			orphan?: (id: number) => void;
		} = {},
	): Promise<{ id: number; value: T }> {
		const { signal } = options;
		if (signal?.aborted) return Promise.reject(interrupted());
		const id = this.#next++;
		return new Promise((resolve, reject) => {
			const onAbort = () => {
				job.abandoned = true;
				this.#queue = this.#queue.filter((j) => j !== job);
				reject(interrupted());
			};
			const job: Job = {
				request: { ...ask, id } as Request,
				transfer: options.transfer ?? [],
				abandoned: false,
				resolve: (value) => {
					signal?.removeEventListener("abort", onAbort);
					resolve({ id, value: value as T });
				},
				reject: (reason) => {
					signal?.removeEventListener("abort", onAbort);
					reject(reason);
				},
				...(options.orphan && { orphan: options.orphan }),
			};
			signal?.addEventListener("abort", onAbort, { once: true });
			this.#queue.push(job);
			this.#pump();
		});
	}

	/** Rejects what waits for an engine: its runs must not begin after it was disposed. */
	drop(engine: number): void {
		const dropped = this.#queue.filter(
			(j) => j.request.kind === "run" && j.request.engine === engine,
		);
		this.#queue = this.#queue.filter((j) => !dropped.includes(j));
		const job = this.#current;
		if (job?.request.kind === "run" && job.request.engine === engine) {
			job.abandoned = true;
			dropped.push(job);
		}
		for (const j of dropped) j.reject(interrupted("the engine was disposed"));
	}

	/** Counts an engine that lives here; the thread stays. */
	retain(): void {
		this.#engines++;
	}

	/** Counts an engine out; with the last one the thread ends. */
	async release(): Promise<void> {
		this.#engines--;
		await this.#endIfIdle();
	}

	async #endIfIdle(): Promise<void> {
		if (this.#engines > 0 || this.#current || this.#queue.length > 0) return;
		const worker = this.#worker;
		this.#worker = undefined;
		await worker?.terminate();
	}

	#pump(): void {
		if (this.#current) return;
		const job = this.#queue.shift();
		if (!job) {
			this.#worker?.unref();
			void this.#endIfIdle();
			return;
		}
		this.#current = job;
		const worker = this.#start();
		worker.ref();
		try {
			worker.postMessage(job.request, job.transfer);
		} catch (thrown) {
			this.#current = undefined;
			job.reject(
				new WattvoxError("E_BUG", `a feed cannot be sent: ${thrown}`, {
					cause: thrown,
				}),
			);
			this.#pump();
		}
	}

	#start(): Worker {
		if (this.#worker) return this.#worker;
		noTelemetry();
		const worker = new Worker(this.#script);
		worker.on("message", (answer: Answer) => this.#answered(answer));
		worker.on("error", (error) => this.#died(worker, error));
		worker.on("exit", () => this.#died(worker, undefined));
		this.#worker = worker;
		return worker;
	}

	#answered(answer: Answer): void {
		const job = this.#current;
		if (!job || job.request.id !== answer.id) return;
		this.#current = undefined;
		if (job.abandoned) {
			if (answer.ok) job.orphan?.(answer.id);
		} else if (answer.ok) job.resolve(answer.value);
		else job.reject(new WattvoxError(answer.code, answer.message));
		this.#pump();
	}

	#died(worker: Worker, error: Error | undefined): void {
		if (worker !== this.#worker) return;
		this.#worker = undefined;
		this.#generation++;
		const jobs = [...(this.#current ? [this.#current] : []), ...this.#queue];
		this.#current = undefined;
		this.#queue = [];
		const code =
			(error as NodeJS.ErrnoException | undefined)?.code ===
			"ERR_WORKER_OUT_OF_MEMORY"
				? "E_MEMORY"
				: "E_BUG";
		for (const job of jobs)
			job.reject(
				new WattvoxError(
					code,
					`the engine's thread ended: ${error?.message ?? "no reason given"}`,
					{ cause: error },
				),
			);
	}
}

function interrupted(message = "the run was abandoned"): WattvoxError {
	return new WattvoxError("E_INTERRUPTED", message);
}
