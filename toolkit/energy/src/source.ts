import { z } from "zod";

/** What a power source is and how far it can be trusted; JSON-safe, printed beside every figure. */
export const SourceDescriptionSchema = z.object({
	/** Which sensor: "rapl", "estimate", ... */
	sensor: z.string().min(1),
	/** Names of the rails that are summed. They never overlap: no rail is part of another. */
	rails: z.array(z.string().min(1)).min(1),
	/** What the sum covers and what it leaves out. */
	scope: z.string().min(1),
	/** True for a sensor; false for a model of one. */
	measured: z.boolean(),
	/** What an estimate rests on, as text. Present exactly when `measured` is false. */
	assumption: z.string().min(1).optional(),
	/** Which column of CodeCarbon's the joules belong to; absent: neither. */
	domain: z.enum(["cpu", "gpu"]).optional(),
	/** Of a sum of sensors: each one, in the order of its joules. */
	parts: z
		.array(
			z.object({
				sensor: z.string().min(1),
				domain: z.enum(["cpu", "gpu"]).optional(),
			}),
		)
		.optional(),
});
export type SourceDescription = z.infer<typeof SourceDescriptionSchema>;

/** Energy counters, one per rail of the description, at one moment. */
export interface CounterReading {
	/** Monotonic clock, nanoseconds (`process.hrtime.bigint()`). */
	atNs: bigint;
	/** Microjoules counted so far, one per rail, each within 0..range. */
	microjoules: readonly bigint[];
}

/** Power drawn at one moment, summed over the rails. */
export interface PowerReading {
	/** Monotonic clock, nanoseconds (`process.hrtime.bigint()`). */
	atNs: bigint;
	/** Watts; finite and >= 0. A source that does not know throws, it never says 0. */
	watts: number;
}

interface SourceBase {
	describe(): SourceDescription;
	/** Gives back whatever the source holds (a child process, a library). Idempotent. */
	close(): Promise<void>;
}

/** A sensor that counts energy: an interval's joules are a difference, whatever the sampling. */
export interface CounterSource extends SourceBase {
	readonly kind: "counter";
	/** Microjoules at which each rail's counter starts again from 0; null: it never does. */
	readonly ranges: readonly (bigint | null)[];
	/** How often the counter moves, seconds, where that is known; absent: faster than it is read. */
	readonly periodSeconds?: number;
	/** Power at rest, where a model says it without looking. Watts. */
	readonly idleWatts?: number;
	/** @throws WattvoxError E_SENSOR when the sensor does not answer */
	read(): Promise<CounterReading>;
}

/** A sensor that shows power: an interval's joules are an integral over samples. */
export interface GaugeSource extends SourceBase {
	readonly kind: "gauge";
	/** A sensor that averages shows a change so much later, seconds. */
	readonly lagSeconds?: number;
	/** @throws WattvoxError E_SENSOR when the sensor does not answer */
	read(): Promise<PowerReading>;
}

/** One sensor. Counters and gauges are distinct types because they are integrated differently. */
export type SingleSource = CounterSource | GaugeSource;

/** Several sensors of disjoint rails, read together: a machine's processors and its graphics cards. */
export interface SumSource extends SourceBase {
	readonly kind: "sum";
	/** At least two, all measured: a measurement and an estimate are never added. */
	readonly parts: readonly SingleSource[];
}

/** Where joules come from. Every adapter passes `POWER_SOURCE_CONTRACT`. */
export type PowerSource = SingleSource | SumSource;

/** Why a sensor cannot be used here. */
export interface Unavailable {
	unavailable: string;
}
