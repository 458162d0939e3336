import { readFile } from "node:fs/promises";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import { decode, filter, parseTopic, zPowerMessage } from "@wattvox/link";
import { type PowerTable, powerTable } from "./collector-table.ts";
import { PowerTotals, zSavedTotals } from "./collector-totals.ts";

/** Where reports come from: a `Link` is one. */
export interface PowerFeed {
	/** @returns takes the handler back */
	subscribe(
		filter: string,
		handler: (topic: string, payload: Buffer) => void,
		signal?: AbortSignal,
	): Promise<() => Promise<void>>;
}

export interface CollectorOptions {
	/** Started by its owner; the collector does not stop it. */
	link: PowerFeed;
	/** File that keeps the totals over a restart. Without it: memory only. */
	path?: string;
	/** Only this fleet. Default: every one. */
	fleet?: string;
	/** Longest time between a report and the file, milliseconds. Default 1000. */
	saveMs?: number;
	/** Told when the file could not be written; the next report tries again. */
	onError?: (error: WattvoxError) => void;
}

/**
 * Sums what devices report about power, whichever broker carries it.
 *
 * A report that is lost between the broker and the file costs nothing: the next one of the same
 * boot carries the same counts and more.
 */
export class Collector {
	readonly #options: CollectorOptions;
	#totals = new PowerTotals();
	#unsubscribe: (() => Promise<void>) | undefined;
	#timer: NodeJS.Timeout | undefined;
	#saving: Promise<void> = Promise.resolve();
	#ignored = 0;

	constructor(options: CollectorOptions) {
		this.#options = options;
	}

	/** Messages on power topics that were none, or that spoke for another device. */
	get ignored(): number {
		return this.#ignored;
	}

	/**
	 * Reads the totals of earlier runs and listens.
	 * @throws WattvoxError E_FILE_FORMAT (the file is not a collector's), E_BROKER; the signal's reason
	 */
	async start(signal?: AbortSignal): Promise<void> {
		if (this.#unsubscribe) return;
		const { link, path, fleet } = this.#options;
		if (path !== undefined) this.#totals = await load(path);
		this.#unsubscribe = await link.subscribe(
			filter("power", fleet),
			(topic, payload) => this.#receive(topic, payload),
			signal,
		);
	}

	/** Stops listening and writes what is not written yet. Idempotent. */
	async stop(): Promise<void> {
		await this.#unsubscribe?.();
		this.#unsubscribe = undefined;
		if (this.#timer) this.#save();
		await this.#saving;
	}

	/** The table as it stands. */
	table(): PowerTable {
		return powerTable(this.#totals.devices());
	}

	#receive(topic: string, payload: Buffer): void {
		const message = decode(zPowerMessage, payload);
		// A broker's access list lets a device write under its own name only: who it is says the topic.
		if (!message || parseTopic(topic)?.device !== message.device) {
			this.#ignored++;
			return;
		}
		if (!this.#totals.add(message) || this.#timer) return;
		if (this.#options.path === undefined) return;
		this.#timer = setTimeout(
			() => this.#save(),
			this.#options.saveMs ?? 1000,
		).unref();
	}

	#save(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		const path = this.#options.path;
		if (path === undefined) return;
		this.#saving = this.#saving
			.then(() => writeAtomic(path, JSON.stringify(this.#totals.save())))
			.catch((error: WattvoxError) => this.#options.onError?.(error));
	}
}

async function load(path: string): Promise<PowerTotals> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (thrown) {
		if ((thrown as NodeJS.ErrnoException).code === "ENOENT")
			return new PowerTotals();
		throw thrown;
	}
	try {
		return PowerTotals.restore(zSavedTotals.parse(JSON.parse(text)));
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", `${path} holds no power totals`, {
			cause,
		});
	}
}
