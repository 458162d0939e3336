import { Worker } from "node:worker_threads";
import { WattvoxError } from "@wattvox/core";
import {
	type Answer,
	type Request,
	Skips,
	type WorkerData,
} from "./protocol.ts";
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
 * Requests at the worker at a time: the one that runs and the one after it, so that the thread need not
 * wait for this side between two runs.
 */
const AT_WORKER = 2;

/**
 * One worker thread that holds any number of engines and runs one request at a time, in order.
 * An abandoned run that has not begun is never run: it is taken out of the queue on this side, or
 * marked in memory that the worker looks at before each run.
 *
 * INVARIANTS
 * - The thread exists only while an engine or a request needs it.
 * - It keeps the process alive only while a request is under way.
 * - When it dies, all that waited rejects, and the next request starts a new one without the old engines.
 */
export class EngineHost {
	#worker: Worker | undefined;
	#queue: Job[] = [];
	/** At the worker, in the order it answers. */
	#sent: Job[] = [];
	readonly #skips = new Skips();
	#next = 1;
	#engines = 0;
	#generation = 0;

	readonly #script: URL;
	readonly #onDeath: (why: WattvoxError) => void;

	/**
	 * @param script what the thread runs; another one only in tests
	 * @param onDeath told when the thread died, and its engines with it
	 */
	constructor(
		script = new URL("./worker.js", import.meta.url),
		onDeath: (why: WattvoxError) => void = () => undefined,
	) {
		this.#script = script;
		this.#onDeath = onDeath;
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
				this.#abandon(job);
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
		for (const job of [...this.#sent, ...this.#queue])
			if (job.request.kind === "run" && job.request.engine === engine) {
				this.#abandon(job);
				job.reject(interrupted("the engine was disposed"));
			}
	}

	/** Sees to it that a job does not begin any more; one that runs ends unseen. */
	#abandon(job: Job): void {
		job.abandoned = true;
		this.#queue = this.#queue.filter((j) => j !== job);
		if (this.#sent.includes(job)) this.#skips.skip(job.request.id);
	}

	/** Starts the thread, for an engine that is to come: {@link retain} it first. */
	wake(): void {
		this.#start();
		if (this.#idle) this.#worker?.unref();
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

	get #idle(): boolean {
		return this.#sent.length === 0 && this.#queue.length === 0;
	}

	async #endIfIdle(): Promise<void> {
		if (this.#engines > 0 || !this.#idle) return;
		const worker = this.#worker;
		this.#worker = undefined;
		await worker?.terminate();
	}

	#pump(): void {
		while (this.#sent.length < AT_WORKER) {
			const job = this.#queue.shift();
			if (!job) break;
			this.#send(job);
		}
		if (!this.#idle) return;
		this.#worker?.unref();
		void this.#endIfIdle();
	}

	#send(job: Job): void {
		const worker = this.#start();
		worker.ref();
		try {
			worker.postMessage(job.request, job.transfer);
			this.#sent.push(job);
		} catch (thrown) {
			job.reject(
				new WattvoxError("E_BUG", `a feed cannot be sent: ${thrown}`, {
					cause: thrown,
				}),
			);
		}
	}

	#start(): Worker {
		if (this.#worker) return this.#worker;
		noTelemetry();
		const data: WorkerData = { skips: this.#skips.shared };
		const worker = new Worker(this.#script, { workerData: data });
		worker.on("message", (answer: Answer) => this.#answered(answer));
		worker.on("error", (error) => this.#died(worker, error));
		worker.on("exit", () => this.#died(worker, undefined));
		this.#worker = worker;
		return worker;
	}

	#answered(answer: Answer): void {
		const job = this.#sent[0];
		if (!job || job.request.id !== answer.id) return;
		this.#sent.shift();
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
		const jobs = [...this.#sent, ...this.#queue];
		this.#sent = [];
		this.#queue = [];
		const code =
			(error as NodeJS.ErrnoException | undefined)?.code ===
			"ERR_WORKER_OUT_OF_MEMORY"
				? "E_MEMORY"
				: "E_BUG";
		const why = new WattvoxError(
			code,
			`the engine's thread ended: ${error?.message ?? "no reason given"}`,
			{ cause: error },
		);
		for (const job of jobs) job.reject(why);
		this.#onDeath(why);
	}
}

function interrupted(message = "the run was abandoned"): WattvoxError {
	return new WattvoxError("E_INTERRUPTED", message);
}
