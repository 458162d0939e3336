import {
	abandonable,
	asWattvoxError,
	backoff,
	type Clock,
	systemClock,
	type WattvoxError,
} from "@wattvox/core";
import {
	decode,
	filter,
	type Kind,
	parseTopic,
	zPowerMessage,
	zUtterancesMessage,
} from "@wattvox/link";
import { type PowerPoint, toPoint } from "./power/point.ts";
import type { PowerStore } from "./power/store.ts";
import {
	type DeviceLoss,
	mostLost,
	toUtterances,
	type UtteranceBatch,
	type UtterancePoint,
} from "./power/utterance.ts";

/** Where reports come from: a `Link` is one, the embedded broker's feed another. */
export interface PowerFeed {
	/**
	 * @param handler a message is acknowledged when the promise that it gave is kept, and comes again
	 * when it is broken
	 * @returns takes the handler back
	 */
	subscribe(
		filter: string,
		handler: (topic: string, payload: Buffer) => unknown,
		signal?: AbortSignal,
	): Promise<() => Promise<void>>;
	/** The broker goes on to keep what comes while nobody is here; taking the handler back ends that. */
	readonly persistent?: boolean;
}

export interface CollectorOptions {
	/** Started and stopped by its owner; a persistent one is started after the collector. */
	link: PowerFeed;
	/** Started and stopped by its owner. */
	store: Pick<PowerStore, "write" | "writeUtterances">;
	/** Only this fleet. Default: every one. */
	fleet?: string;
	/** Longest time between a report and its batch, milliseconds. Default 1000. */
	flushMs?: number;
	/** How long `stop` tries to write what waits, milliseconds. Default 10 000. */
	stopMs?: number;
	/** Told of every report as it comes. */
	onPoint?: (point: PowerPoint, received: number) => void;
	/** Told when the store refused a batch; it is written again. */
	onError?: (error: WattvoxError) => void;
	clock?: Clock;
}

/** Silence that ends a batch, ms: a broker may wait for acknowledgements before it goes on. */
const QUIET_MS = 20;
/** And in times of what the last batch took to write: writing has a tenth of the time then. */
const QUIET_PER_WRITE = 10;

/** Reports on their way to the store. */
interface Batch {
	/** The newest of each boot, voice and minute. */
	readonly points: Map<string, PowerPoint>;
	/** Each once. */
	readonly utterances: Map<string, UtterancePoint>;
	/** Of each backlog the highest counts. */
	readonly losses: Map<string, DeviceLoss>;
	/** Its reports' acknowledgements wait for these. */
	readonly ends: Gate[];
}

/** What devices send to whoever keeps the books. */
const KINDS = ["power", "utterances"] as const satisfies readonly Kind[];

/**
 * Brings power reports and utterances to the store, whichever broker carries them.
 *
 * INVARIANTS
 * - A report is acknowledged after the store has committed it, or a later one of the same boot, which
 *   carries the same counts and more. So one whose collector died is the broker's or its device's still,
 *   and comes again; totals are exact either way, as the store merges by the larger count. An utterance
 *   that comes again is known by its boot and number, and is in no total.
 * - Of one boot, voice and minute only the newest waits; how many wait is for the feed to bound.
 * - A batch that the store refuses is written again, with what has come since.
 */
export class Collector {
	readonly counters = { received: 0, ignored: 0, written: 0, batches: 0 };
	readonly #o: CollectorOptions;
	readonly #clock: Clock;
	#pending: Batch = batch();
	#listening = false;
	#unsubscribe: (() => Promise<void>)[] = [];
	#deadline: NodeJS.Timeout | undefined;
	#quiet: NodeJS.Timeout | undefined;
	#flushing: Promise<void> | undefined;
	#writeMs = 0;
	#stop = new AbortController();

	constructor(options: CollectorOptions) {
		this.#o = options;
		this.#clock = options.clock ?? systemClock;
	}

	/** Reports that wait for the store. */
	get pending(): number {
		return this.#pending.points.size + this.#pending.utterances.size;
	}

	/** Listens. @throws WattvoxError E_BROKER, E_DENIED; the signal's reason */
	async start(signal?: AbortSignal): Promise<void> {
		if (this.#listening) return;
		this.#stop = new AbortController();
		this.#listening = true;
		try {
			for (const kind of KINDS.slice(this.#unsubscribe.length))
				this.#unsubscribe.push(
					await this.#o.link.subscribe(
						filter(kind, this.#o.fleet),
						(topic, payload) => this.#receive(topic, payload),
						signal,
					),
				);
		} catch (thrown) {
			this.#listening = false;
			throw thrown;
		}
	}

	/**
	 * Writes what waits; what comes later is not acknowledged. Idempotent.
	 * @throws WattvoxError E_STORE when the store did not take it in the time given
	 */
	async stop(): Promise<void> {
		this.#listening = false;
		if (!this.#o.link.persistent)
			for (const unsubscribe of this.#unsubscribe.splice(0))
				await unsubscribe();
		const over = setTimeout(() => this.#stop.abort(), this.#o.stopMs ?? 10_000);
		try {
			await this.flush();
		} finally {
			clearTimeout(over);
			this.#stop.abort();
		}
	}

	/**
	 * Resolves when what waits now is written.
	 * @throws WattvoxError E_STORE once the collector is stopped
	 */
	async flush(): Promise<void> {
		await this.#flushing?.catch(() => undefined);
		// another caller may have taken what waited: then its batch is waited for
		if (!empty(this.#pending) || this.#flushing) await this.#flush();
	}

	/** @returns kept when the store has the report; nothing for what is none */
	#receive(topic: string, payload: Buffer): void | Promise<void> {
		if (!this.#listening) return new Promise(() => undefined);
		const to = parseTopic(topic);
		const received = this.#clock.wall();
		const taken =
			to?.kind === "utterances"
				? this.#utterances(payload, to, received)
				: to && this.#power(payload, to, received);
		if (!taken) {
			this.counters.ignored++;
			return;
		}
		this.counters.received++;
		this.#arm();
		return this.#pending.ends[0]?.promise;
	}

	// A broker's access list lets a device write under its own name only: who it is says the topic.
	#power(payload: Buffer, to: From, received: number): boolean {
		const message = decode(zPowerMessage, payload);
		const point =
			message?.device === to.device
				? toPoint(message, to.fleet, received)
				: undefined;
		if (!point) return false;
		this.#o.onPoint?.(point, received);
		merge(this.#pending.points, point);
		return true;
	}

	#utterances(payload: Buffer, to: From, received: number): boolean {
		const message = decode(zUtterancesMessage, payload);
		if (message?.device !== to.device) return false;
		mergeUtterances(this.#pending, toUtterances(message, to.fleet, received));
		return true;
	}

	/** Sees to it that what waits is written in time, and soon when nothing more comes. */
	#arm(): void {
		const longest = this.#o.flushMs ?? 1000;
		const quiet = Math.max(QUIET_MS, QUIET_PER_WRITE * this.#writeMs);
		const write = () => void this.flush().catch(() => undefined);
		this.#deadline ??= setTimeout(write, longest).unref();
		if (this.#quiet) this.#quiet.refresh();
		else this.#quiet = setTimeout(write, Math.min(longest, quiet)).unref();
	}

	#flush(): Promise<void> {
		this.#flushing ??= this.#write().finally(() => {
			this.#flushing = undefined;
		});
		return this.#flushing;
	}

	async #write(): Promise<void> {
		const { signal } = this.#stop;
		for (let attempt = 1; ; attempt++) {
			const taken = this.#take();
			const { points, ends } = taken;
			const spoken = listed(taken);
			const begin = performance.now();
			try {
				await abandonable(this.#o.store.write([...points.values()]), signal);
				if (spoken.utterances.length + spoken.losses.length > 0)
					await abandonable(this.#o.store.writeUtterances(spoken), signal);
				this.#writeMs = performance.now() - begin;
				this.counters.written += points.size + spoken.utterances.length;
				this.counters.batches++;
				for (const end of ends) end.open();
				return;
			} catch (thrown) {
				for (const point of this.#pending.points.values()) merge(points, point);
				mergeUtterances(taken, listed(this.#pending));
				this.#pending = { ...taken, ends: [...this.#pending.ends, ...ends] };
				if (signal.aborted) throw asWattvoxError(thrown);
				this.#o.onError?.(asWattvoxError(thrown));
				const wait = backoff(attempt, 200, 10_000, Math.random);
				await this.#clock.sleep(wait, signal).catch(() => undefined);
			}
		}
	}

	#take(): Batch {
		clearTimeout(this.#deadline);
		clearTimeout(this.#quiet);
		this.#deadline = this.#quiet = undefined;
		const taken = this.#pending;
		this.#pending = batch();
		return taken;
	}
}

/** Keeps the newer of two reports that the store would merge; unknown never hides a count. */
function merge(into: Map<string, PowerPoint>, point: PowerPoint): void {
	const { fleet, device, boot, sensor, measured, voice, at } = point;
	const minute = Math.floor(at / 60_000);
	const key = `${fleet}/${device}/${boot}/${sensor}/${measured}/${voice}/${minute}`;
	const known = into.get(key);
	into.set(key, known ? larger(known, point) : point);
}

/** Of what came twice one is enough: they are the same. */
function mergeUtterances(into: Batch, batch: UtteranceBatch): void {
	for (const u of batch.utterances)
		into.utterances.set(`${u.fleet}/${u.device}/${u.boot}/${u.n}`, u);
	for (const loss of batch.losses) {
		const key = `${loss.fleet}/${loss.device}/${loss.log}`;
		const known = into.losses.get(key);
		const lost = known ? mostLost(known.lost, loss.lost) : loss.lost;
		into.losses.set(key, { ...loss, lost });
	}
}

function listed({ utterances, losses }: Batch): UtteranceBatch {
	return { utterances: [...utterances.values()], losses: [...losses.values()] };
}

function empty({ points, utterances, losses }: Batch): boolean {
	return points.size + utterances.size + losses.size === 0;
}

function larger(a: PowerPoint, b: PowerPoint): PowerPoint {
	const newer = b.sequence >= a.sequence ? b : a;
	const most = (x: number | null, y: number | null) =>
		x === null ? y : y === null ? x : Math.max(x, y);
	return {
		...newer,
		millijoules: most(a.millijoules, b.millijoules),
		speechMillijoules: most(a.speechMillijoules, b.speechMillijoules),
		utterances: Math.max(a.utterances, b.utterances),
		audioMs: Math.max(a.audioMs, b.audioMs),
		computeMs: Math.max(a.computeMs, b.computeMs),
	};
}

/** Whose topic it came on. */
interface From {
	fleet: string;
	device: string;
}

interface Gate {
	readonly promise: Promise<void>;
	readonly open: () => void;
}

function gate(): Gate {
	let open: () => void = () => undefined;
	const promise = new Promise<void>((resolve) => {
		open = resolve;
	});
	return { promise, open };
}

/** An empty one. */
function batch(): Batch {
	return {
		points: new Map(),
		utterances: new Map(),
		losses: new Map(),
		ends: [gate()],
	};
}
