import type { Series } from "@wattvox/energy";
import type { Interval } from "./interval.ts";

/**
 * A series as a function of time that can be integrated over any interval in O(log n). Time of which
 * the series says nothing takes the highest value that is known: not knowing is never an advantage.
 */
export class Curve {
	readonly #times: number[] = [];
	readonly #values: (number | null)[] = [];
	/** Value times milliseconds up to each time. */
	readonly #sums: number[] = [];
	/** Milliseconds of known value up to each time. */
	readonly #known: number[] = [];
	readonly highest: number;

	constructor({ points }: Series) {
		this.highest = points.reduce(
			(most, p) => Math.max(most, p.value ?? Number.NEGATIVE_INFINITY),
			Number.NEGATIVE_INFINITY,
		);
		let [sum, known] = [0, 0];
		let end: number | undefined;
		const piece = (from: number, to: number, value: number | null) => {
			this.#times.push(from);
			this.#values.push(value);
			this.#sums.push(sum);
			this.#known.push(known);
			sum += (value ?? this.highest) * (to - from);
			if (value !== null) known += to - from;
		};
		for (const { from, to, value } of points) {
			if (end !== undefined && from > end) piece(end, from, null);
			piece(Math.max(from, end ?? from), to, value);
			end = to;
		}
		if (end !== undefined) piece(end, end, null);
	}

	/** Moments at which the value may change. */
	get breaks(): readonly number[] {
		return this.#times;
	}

	/** Mean over an interval; null when the series knows nothing at all. */
	mean(over: Interval): number | null {
		if (!Number.isFinite(this.highest)) return null;
		if (over.to <= over.from) return this.#at(over.from, this.#sums).value;
		return this.sum(over) / (over.to - over.from);
	}

	/** Value times milliseconds over an interval. */
	sum({ from, to }: Interval): number {
		return this.#at(to, this.#sums).sum - this.#at(from, this.#sums).sum;
	}

	/** Share of an interval of which the series knows the value, 0..1. */
	known({ from, to }: Interval): number {
		if (to <= from) return 0;
		return (
			(this.#at(to, this.#known).sum - this.#at(from, this.#known).sum) /
			(to - from)
		);
	}

	/** The running sum at a moment, and the value there. */
	#at(time: number, sums: readonly number[]): { sum: number; value: number } {
		const counting = sums === this.#known;
		const beyond = counting ? 0 : this.highest;
		const first = this.#times[0];
		if (first === undefined || time < first)
			return { sum: (time - (first ?? 0)) * beyond, value: this.highest };
		let [low, high] = [0, this.#times.length - 1];
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if ((this.#times[middle] as number) <= time) low = middle;
			else high = middle - 1;
		}
		const value = this.#values[low] ?? null;
		const rate = counting ? (value === null ? 0 : 1) : (value ?? this.highest);
		const into = time - (this.#times[low] as number);
		return {
			sum: (sums[low] as number) + into * rate,
			value: value ?? this.highest,
		};
	}
}
