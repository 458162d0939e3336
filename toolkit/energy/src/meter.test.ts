import { setTimeout as delay } from "node:timers/promises";
import test from "ava";
import { between } from "./integrate.ts";
import { Meter } from "./meter.ts";
import type { CounterSource, GaugeSource } from "./source.ts";
import { FAKE } from "./testing.ts";

/** A gauge that is told what to say; each read takes `readings`' next step. */
export function gauge(
	read: () => Promise<{ atNs: bigint; watts: number }>,
): GaugeSource {
	return {
		kind: "gauge",
		read,
		describe: () => FAKE,
		close: async () => undefined,
	};
}

test("the energy between two points is the integral between them", async (t) => {
	let ns = 0n;
	const meter = new Meter(
		gauge(async () => {
			ns += 500_000_000n;
			return { atNs: ns, watts: 20 };
		}),
	);
	const from = await meter.point();
	await meter.point();
	const energy = between(from, await meter.point());
	t.like(energy, { joules: 20, seconds: 1, coverage: 1 });
});

test("points asked for at once are taken one after the other", async (t) => {
	let reading = 0;
	let most = 0;
	const meter = new Meter(
		gauge(async () => {
			most = Math.max(most, ++reading);
			await new Promise(setImmediate);
			reading--;
			return { atNs: process.hrtime.bigint(), watts: 1 };
		}),
	);
	const points = await Promise.all([
		meter.point(),
		meter.point(),
		meter.point(),
	]);
	t.is(most, 1);
	t.true(points.every((p, i) => p.atNs >= (points[i - 1]?.atNs ?? 0n)));
});

test("samples by itself until it is stopped, and again after", async (t) => {
	let reads = 0;
	const enough = () =>
		new Promise<void>((resolve) => {
			const until = reads + 5;
			const look = setInterval(() => {
				if (reads < until) return;
				clearInterval(look);
				resolve();
			}, 1);
		});
	const meter = new Meter(
		gauge(async () => {
			reads++;
			return { atNs: process.hrtime.bigint(), watts: 1 };
		}),
		{ hz: 200 },
	);
	await meter.start();
	await meter.start();
	await enough();
	await meter.stop();
	await meter.stop();
	const stopped = reads;
	await delay(30);
	t.is(reads, stopped);
	await meter.start();
	await enough();
	await meter.stop();
});

test("an abort ends the sampling", async (t) => {
	let reads = 0;
	const controller = new AbortController();
	const meter = new Meter(
		gauge(async () => {
			reads++;
			return { atNs: process.hrtime.bigint(), watts: 1 };
		}),
		{ hz: 200 },
	);
	await meter.start(controller.signal);
	controller.abort();
	await meter.stop();
	const stopped = reads;
	await delay(30);
	t.is(reads, stopped);
	const aborted = AbortSignal.abort(new Error("over"));
	await t.throwsAsync(meter.start(aborted), { message: "over" });
});

test("a reading that fails shows as a hole, and the next one mends what it can", async (t) => {
	let ns = 0n;
	let counted = 0n;
	let works = true;
	const counter: CounterSource = {
		...gauge(async () => ({ atNs: 0n, watts: 0 })),
		kind: "counter",
		ranges: [null],
		async read() {
			if (!works) throw new Error("gone");
			ns = process.hrtime.bigint();
			counted += 1_000n;
			return { atNs: ns, microjoules: [counted] };
		},
	};
	const meter = new Meter(counter);
	const from = await meter.point();
	works = false;
	const hole = await meter.point();
	t.is(between(from, hole).joules, null);
	t.is(meter.failures, 1);
	works = true;
	const to = await meter.point();
	// A counter forgets nothing.
	t.true(Math.abs((between(from, to).joules ?? 0) - 0.001) < 1e-12);
	t.is(between(from, to).coverage, 1);
});

test("measure gives the result and the cost", async (t) => {
	let ns = 0n;
	const meter = new Meter(
		gauge(async () => {
			ns += 1_000_000_000n;
			return { atNs: ns, watts: 7 };
		}),
	);
	t.like(await meter.measure(async () => "spoken"), {
		result: "spoken",
		energy: { joules: 7, seconds: 1, coverage: 1 },
	});
});
