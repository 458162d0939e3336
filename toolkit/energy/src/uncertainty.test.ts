import test from "ava";
import { between, integratePower, type MeterPoint } from "./integrate.ts";
import { uniform } from "./testing.ts";

/**
 * A load made of pieces, each with its power: its energy between any two moments is known exactly.
 * Times in seconds.
 */
class Load {
	readonly #ends: number[] = [];
	readonly #watts: number[] = [];
	readonly #joules: number[] = [];
	#end = 0;
	#total = 0;

	add(seconds: number, watts: number): void {
		this.#end += seconds;
		this.#total += seconds * watts;
		this.#ends.push(this.#end);
		this.#watts.push(watts);
		this.#joules.push(this.#total);
	}

	get end(): number {
		return this.#end;
	}

	#piece(at: number): number {
		let [low, high] = [0, this.#ends.length - 1];
		while (low < high) {
			const middle = (low + high) >> 1;
			if ((this.#ends[middle] as number) > at) high = middle;
			else low = middle + 1;
		}
		return low;
	}

	watts(at: number): number {
		return this.#watts[this.#piece(at)] as number;
	}

	/** Joules from 0 to `at`. */
	joules(at: number): number {
		const i = this.#piece(at);
		const left = (this.#ends[i] as number) - at;
		return (this.#joules[i] as number) - left * (this.#watts[i] as number);
	}
}

interface Sampling {
	hz: number;
	/** Each reading comes so much sooner or later, as a share of the period. */
	jitter: number;
	/** Share of readings that are lost. */
	lost: number;
	next: () => number;
}

/** Readings at `hz` with jitter and losses, and one at each of `marks`, as a ledger takes them. */
function sample(
	load: Load,
	marks: readonly number[],
	s: Sampling,
): Map<number, MeterPoint> {
	const times = new Set(marks);
	for (let i = 0; i / s.hz < load.end; i++) {
		const at = (i + s.jitter * (2 * s.next() - 1)) / s.hz;
		if (s.next() >= s.lost && at > 0 && at < load.end) times.add(at);
	}
	const sums = integratePower();
	const points = new Map<number, MeterPoint>();
	for (const at of [...times].sort((a, b) => a - b)) {
		const atNs = BigInt(Math.round(at * 1e9)) + 1n;
		points.set(at, sums.add({ atNs, watts: load.watts(at) }));
	}
	return points;
}

function found(points: Map<number, MeterPoint>, from: number, to: number) {
	return between(points.get(from) as MeterPoint, points.get(to) as MeterPoint);
}

/** Steps of 0.3 to 6 s between 3 and 30 W: a training, a device that speaks and rests. */
function work(next: () => number, seconds: number): Load {
	const load = new Load();
	while (load.end < seconds) load.add(0.3 + 5.7 * next(), 3 + 27 * next());
	return load;
}

test("a known load is recovered within 1 % over any window of 30 s and more, at 10 Hz with jitter and losses", (t) => {
	let worst = 0;
	let held = 0;
	const runs = 150;
	for (let seed = 1; seed <= runs; seed++) {
		const next = uniform(seed);
		const load = work(next, 130);
		const from = 5 + 30 * next();
		const to = from + 30 + 60 * next();
		const points = sample(load, [from, to], {
			hz: 10,
			jitter: 0.4,
			lost: 0.1,
			next,
		});
		const energy = found(points, from, to);
		const truth = load.joules(to) - load.joules(from);
		const off = Math.abs((energy.joules ?? 0) - truth);
		worst = Math.max(worst, off / truth);
		if (off <= (energy.plusMinus ?? 0)) held++;
		t.true(energy.coverage > 1 - 1e-9);
	}
	t.log(`worst ${(100 * worst).toFixed(2)} %, ${held} of ${runs} within ±`);
	t.true(worst <= 0.01, `${worst}`);
	t.true(held >= 0.95 * runs);
});

/** Bursts of 30 to 300 ms over an idle floor, at random moments. */
function bursts(next: () => number, seconds: number, perSecond: number) {
	const load = new Load();
	const spans: [number, number][] = [];
	while (load.end < seconds) {
		// Exponential gaps: any phase against the sampling is as likely as any other.
		load.add(0.02 - Math.log(1 - next()) / perSecond, 4 + 0.2 * next());
		const from = load.end;
		load.add(0.03 + 0.27 * next(), 15 + 10 * next());
		spans.push([from, load.end]);
	}
	return { load, spans };
}

for (const [perSecond, hz] of [
	[0.05, 10],
	[0.3, 10],
	[1, 10],
	[3, 10],
	[0.3, 5],
] as const)
	test(`bursts of 30-300 ms, ${perSecond} a second at ${hz} Hz: the interval holds the truth 95 times in 100`, (t) => {
		let held = 0;
		let width = 0;
		const runs = 200;
		for (let seed = 1; seed <= runs; seed++) {
			const next = uniform(seed);
			const { load } = bursts(next, 80, perSecond);
			const from = 10 * next();
			const to = from + 30 + 30 * next();
			const points = sample(load, [from, to], {
				hz,
				jitter: 0.4,
				lost: 0.1,
				next,
			});
			const energy = found(points, from, to);
			const truth = load.joules(to) - load.joules(from);
			const plusMinus = energy.plusMinus ?? 0;
			if (Math.abs((energy.joules ?? 0) - truth) <= plusMinus) held++;
			width += plusMinus / truth / runs;
		}
		t.log(`${held} of ${runs}, ± ${(100 * width).toFixed(1)} % on average`);
		t.true(held >= 0.95 * runs, `${held}`);
		// An interval as wide as the figure would hold anything.
		t.true(width < 0.2, `${width}`);
	});

test("a single burst, booked from its first moment to its last: its interval holds it too", (t) => {
	let held = 0;
	let all = 0;
	for (let seed = 1; seed <= 60; seed++) {
		const next = uniform(seed);
		const { load, spans } = bursts(next, 60, 0.5);
		// After a while the meter knows how far the power swings.
		const later = spans.filter(([from]) => from > 15);
		const points = sample(load, later.flat(), {
			hz: 10,
			jitter: 0.4,
			lost: 0.1,
			next,
		});
		for (const [from, to] of later) {
			const energy = found(points, from, to);
			const truth = load.joules(to) - load.joules(from);
			if (Math.abs((energy.joules ?? 0) - truth) <= (energy.plusMinus ?? 0))
				held++;
			all++;
		}
	}
	t.log(`${held} of ${all}`);
	t.true(all > 500);
	t.true(held >= 0.95 * all, `${held} of ${all}`);
});
