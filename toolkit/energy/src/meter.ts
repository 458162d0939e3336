import {
	between,
	type Energy,
	type IntegrationLimits,
	type Integrator,
	integrateCounter,
	integratePower,
	type MeterPoint,
} from "./integrate.ts";
import type { PowerSource, SourceDescription } from "./source.ts";

export interface MeterOptions extends Partial<IntegrationLimits> {
	/** Readings per second between the points that are asked for. Default 10. */
	hz?: number;
}

/**
 * Reads a source at a steady rate and keeps running sums: constant memory however long it runs.
 *
 * INVARIANTS
 * - Readings are taken one at a time, in the order of their clock.
 * - A failed reading adds nothing: the time it leaves open shows in the coverage.
 * - The meter does not own its source: whoever opened it closes it.
 */
export class Meter {
	readonly #source: PowerSource;
	readonly #periodMs: number;
	readonly #read: () => Promise<MeterPoint>;
	#queue: Promise<unknown> = Promise.resolve();
	#pending = false;
	#timer: NodeJS.Timeout | undefined;
	#latest: MeterPoint = NOTHING;
	#failures = 0;

	constructor(source: PowerSource, options: MeterOptions = {}) {
		const { hz = 10, ...limits } = options;
		this.#source = source;
		this.#periodMs = 1000 / hz;
		this.#read = reader(source, limits);
	}

	describe(): SourceDescription {
		return this.#source.describe();
	}

	/** Power at rest as a model has it; undefined for sensors, which have to look. */
	get idleWatts(): number | undefined {
		const source = this.#source;
		return source.kind === "counter" ? source.idleWatts : undefined;
	}

	/** Readings that failed so far. */
	get failures(): number {
		return this.#failures;
	}

	/** The newest point, without a new reading. */
	get latest(): MeterPoint {
		return this.#latest;
	}

	/** Takes the first reading and begins to sample; `signal` stops it like {@link stop}. */
	async start(signal?: AbortSignal): Promise<void> {
		signal?.throwIfAborted();
		if (this.#timer) return;
		this.#timer = setInterval(() => this.#tick(), this.#periodMs);
		// A meter never keeps a process alive.
		this.#timer.unref();
		signal?.addEventListener("abort", () => this.#clear(), { once: true });
		await this.point();
	}

	/** Ends sampling. Idempotent. */
	async stop(): Promise<void> {
		this.#clear();
		await this.#queue;
	}

	/** A reading taken now. */
	point(): Promise<MeterPoint> {
		const next = this.#queue.then(() => this.#sample());
		this.#queue = next;
		return next;
	}

	/** Runs `work` and gives what it cost beside its result. */
	async measure<T>(
		work: () => Promise<T>,
	): Promise<{ result: T; energy: Energy }> {
		const from = await this.point();
		const result = await work();
		return { result, energy: between(from, await this.point()) };
	}

	#clear(): void {
		clearInterval(this.#timer);
		this.#timer = undefined;
	}

	#tick(): void {
		// A source slower than the period is read as fast as it answers, not queued up.
		if (this.#pending) return;
		this.#pending = true;
		void this.point().finally(() => {
			this.#pending = false;
		});
	}

	async #sample(): Promise<MeterPoint> {
		try {
			this.#latest = await this.#read();
		} catch {
			this.#failures++;
			this.#latest = { ...this.#latest, atNs: process.hrtime.bigint() };
		}
		return this.#latest;
	}
}

function reader(
	source: PowerSource,
	limits: Partial<IntegrationLimits>,
): () => Promise<MeterPoint> {
	// Two branches that look alike: each pairs one kind of reading with its integrator.
	if (source.kind === "counter") {
		const sums: Integrator<Awaited<ReturnType<typeof source.read>>> =
			integrateCounter(source.ranges, limits, source.periodSeconds);
		return async () => sums.add(await source.read());
	}
	if (source.kind === "gauge") {
		const sums = integratePower(limits, source.lagSeconds);
		return async () => sums.add(await source.read());
	}
	const readers = source.parts.map((part) => reader(part, limits));
	const latest: (MeterPoint | undefined)[] = readers.map(() => undefined);
	return async () => {
		const read = await Promise.allSettled(readers.map((r) => r()));
		for (const [i, r] of read.entries())
			if (r.status === "fulfilled") latest[i] = r.value;
		const failed = read.find((r) => r.status === "rejected");
		// One that is silent leaves its time uncovered; all of them are a failed reading.
		if (failed && read.every((r) => r.status === "rejected"))
			throw failed.reason;
		return together(latest.map((point) => point ?? NOTHING));
	};
}

const NOTHING: MeterPoint = { atNs: 0n, joules: 0, coveredSeconds: 0 };

/** Points of disjoint sources as one: joules add, the time covered is the mean of theirs. */
function together(points: readonly MeterPoint[]): MeterPoint {
	const sum = (of: (p: MeterPoint) => number) =>
		points.reduce((total, p) => total + of(p), 0);
	return {
		atNs: points.reduce((at, p) => (p.atNs > at ? p.atNs : at), 0n),
		joules: sum((p) => p.joules),
		coveredSeconds: sum((p) => p.coveredSeconds) / points.length,
		error: {
			variance: sum((p) => p.error?.variance ?? 0),
			blindSeconds: Math.max(...points.map((p) => p.error?.blindSeconds ?? 0)),
			blindWatts: sum((p) => p.error?.blindWatts ?? 0),
		},
		parts: points.map((p) => p.joules),
	};
}
