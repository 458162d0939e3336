import type { Series } from "@wattvox/energy";
import test from "ava";
import fc from "fast-check";
import { Curve } from "./curve.ts";
import { assess } from "./forecast.ts";
import { totalSeconds } from "./interval.ts";
import { type Plan, type PlanInput, plan } from "./plan.ts";
import { openWindow } from "./window.ts";

const HOUR = 3_600_000;
const T0 = Date.UTC(2026, 2, 4, 10, 0);

function series(
	values: readonly (number | null)[],
	over: Partial<Series> = {},
): Series {
	return {
		source: "test",
		unit: "gCO2e/kWh",
		kind: "average",
		issuedAt: T0,
		points: values.map((value, i) => ({
			from: T0 + i * HOUR,
			to: T0 + (i + 1) * HOUR,
			value,
		})),
		...over,
	};
}

const curve = (values: readonly (number | null)[]) => new Curve(series(values));

const input = (over: Partial<PlanInput>): PlanInput => ({
	now: T0,
	deadline: T0 + 24 * HOUR,
	seconds: 3600,
	mayPause: false,
	margin: 0,
	...over,
});

const when = ({ chosen }: Plan) =>
	chosen.segments.map(({ from, to }) => [
		Math.round((100 * (from - T0)) / HOUR) / 100,
		Math.round((100 * (to - T0)) / HOUR) / 100,
	]);

test("a curve: exact means over any interval; what is unknown counts as the highest value", (t) => {
	const c = curve([100, null, 300]);
	t.is(c.mean({ from: T0, to: T0 + HOUR }), 100);
	t.is(c.mean({ from: T0 + HOUR / 2, to: T0 + 1.5 * HOUR }), 200);
	t.is(c.mean({ from: T0 - HOUR, to: T0 + HOUR }), 200);
	t.is(c.mean({ from: T0 + 2.5 * HOUR, to: T0 + 9 * HOUR }), 300);
	t.is(c.known({ from: T0 - HOUR, to: T0 + 3 * HOUR }), 0.5);
	t.is(curve([null]).mean({ from: T0, to: T0 + HOUR }), null);
	const holed = new Curve(
		series([], {
			points: [
				{ from: T0, to: T0 + HOUR, value: 10 },
				{ from: T0 + 3 * HOUR, to: T0 + 4 * HOUR, value: 30 },
			],
		}),
	);
	t.is(holed.mean({ from: T0, to: T0 + 4 * HOUR }), (10 + 30 * 3) / 4);
});

test("one stretch goes where it costs least, between steps too, and to the earliest of equals", (t) => {
	t.deepEqual(when(plan(input({ curve: curve([300, 300, 100, 300]) }))), [
		[2, 3],
	]);
	const longer = plan(
		input({ seconds: 1.5 * 3600, curve: curve([300, 200, 100, 300]) }),
	);
	t.deepEqual(when(longer), [[1.5, 3]]);
	t.is(longer.chosen.name, "one stretch");
	t.deepEqual(when(plan(input({ curve: curve([300, 100, 300, 100]) }))), [
		[1, 2],
	]);
});

test("now, when nothing later is better by enough", (t) => {
	const flat = plan(input({ curve: curve([100, 99.5, 100]) }));
	t.is(flat.chosen.name, "now");
	t.regex(flat.why, /better by enough/);
	t.is(plan(input({ curve: curve([100, 300, 300]) })).chosen.name, "now");
});

test("the deadline binds, with the margin", (t) => {
	const values = [300, 200, 100, 50];
	t.deepEqual(
		when(plan(input({ curve: curve(values), deadline: T0 + 3 * HOUR }))),
		[[2, 3]],
	);
	t.deepEqual(
		when(
			plan(
				input({ curve: curve(values), deadline: T0 + 3 * HOUR, margin: 0.5 }),
			),
		),
		[[1.5, 2.5]],
	);
	const late = plan(input({ curve: curve(values), deadline: T0 + HOUR / 2 }));
	t.is(late.chosen.name, "now");
	t.regex(late.why, /cannot be met/);
});

test("pauses leave the dear hours out, when that is worth it", (t) => {
	const values = [300, 100, 300, 100, 300];
	const cut = plan(
		input({
			seconds: 2 * 3600,
			mayPause: true,
			curve: curve(values),
			deadline: T0 + 5 * HOUR,
		}),
	);
	t.is(cut.chosen.name, "with pauses");
	t.deepEqual(when(cut), [
		[1, 2],
		[3, 4.01],
	]);
	// Restarting that costs most of an hour is not.
	const dear = plan(
		input({
			seconds: 2 * 3600,
			mayPause: true,
			pauseSeconds: 3600 * 2.5,
			curve: curve(values),
			deadline: T0 + 5 * HOUR,
		}),
	);
	t.is(dear.chosen.name, "now");
});

test("without a forecast it is the window, or now", (t) => {
	t.regex(plan(input({})).why, /Nothing is known.*runs now/);
	const opens = { kind: "starts", starts: [T0 + 12 * HOUR] } as const;
	const at = plan(input({ window: { ...opens, starts: [...opens.starts] } }));
	t.deepEqual(when(at), [[12, 13]]);
	t.regex(at.why, /when the window opens/);
});

test("a window is kept to, unless only leaving it meets the deadline", (t) => {
	const spans = (from: number, to: number) => ({
		kind: "spans" as const,
		spans: [{ from: T0 + from * HOUR, to: T0 + to * HOUR }],
	});
	const values = [50, 300, 300, 200, 100, 300];
	t.deepEqual(
		when(plan(input({ curve: curve(values), window: spans(2, 6) }))),
		[[4, 5]],
	);
	const outside = plan(input({ deadline: T0 + 2 * HOUR, window: spans(4, 6) }));
	t.is(outside.chosen.name, "now");
	t.regex(outside.why, /outside the window/);
	// Longer than the window: it pauses when the window closes and goes on when it opens again.
	const nights = {
		kind: "spans" as const,
		spans: [0, 24].map((h) => ({
			from: T0 + (h + 12) * HOUR,
			to: T0 + (h + 18) * HOUR,
		})),
	};
	const long = plan(
		input({
			seconds: 9 * 3600,
			deadline: T0 + 48 * HOUR,
			mayPause: true,
			window: nights,
		}),
	);
	t.is(long.chosen.name, "with pauses");
	t.true(
		long.chosen.segments.every((s) =>
			nights.spans.some((n) => n.from <= s.from && s.to <= n.to),
		),
	);
});

const random = fc.record({
	values: fc.array(fc.integer({ min: 1, max: 900 }), {
		minLength: 2,
		maxLength: 30,
	}),
	seconds: fc.integer({ min: 600, max: 6 * 3600 }),
	hours: fc.integer({ min: 1, max: 40 }),
	mayPause: fc.boolean(),
});

test("any plan: all the work, in order, in time when that can be, never dearer than now", (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(random, ({ values, seconds, hours, mayPause }) => {
				const i = input({
					seconds,
					mayPause,
					curve: curve(values),
					deadline: T0 + hours * HOUR,
					margin: 0.1,
				});
				const { chosen, options } = plan(i);
				const now = options[0];
				const { segments } = chosen;
				const ordered = segments.every(
					(s, k) => s.from < s.to && s.from >= (segments[k - 1]?.to ?? T0),
				);
				const pauses = (segments.length - 1) * 30;
				const enough =
					Math.abs(totalSeconds(segments) - seconds - pauses) < 1.5;
				const feasible = T0 + seconds * 1100 <= i.deadline;
				return (
					ordered &&
					enough &&
					(!feasible || chosen.inTime) &&
					(chosen.mean ?? 0) <= (now?.mean ?? 0) + 1e-6
				);
			}),
			{ numRuns: 300 },
		),
	);
});

test("one stretch is the best of all starts (against trying every minute)", (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(random, ({ values, seconds, hours }) => {
				const c = curve(values);
				const deadline = T0 + Math.max(hours * HOUR, seconds * 1000);
				const { chosen } = plan(
					input({ seconds, curve: c, deadline, worth: 0 }),
				);
				for (let at = T0; at + seconds * 1000 <= deadline; at += 60_000) {
					const mean = c.mean({ from: at, to: at + seconds * 1000 }) ?? 0;
					if (mean < (chosen.mean ?? 0) - 1e-6) return false;
				}
				return true;
			}),
			{ numRuns: 60 },
		),
	);
});

test("forecasts that are missing, stale, unknown or short are not planned by, and it is said", (t) => {
	const over = { from: T0, to: T0 + 24 * HOUR };
	const why = (s: Series) => {
		const { curve: usable, notes } = assess(s, over);
		return usable ? "used" : notes.join();
	};
	t.is(why(series(Array(24).fill(100))), "used");
	t.regex(why(series([])), /test: it gave no forecast; it is not planned by/);
	t.regex(why(series([null, null])), /knows no value/);
	t.regex(
		why(series([100, 100], { issuedAt: T0 - 9 * HOUR })),
		/9 h 00 min old/,
	);
	t.regex(why(series([100, null, null, null])), /knows 25 %/);
	const past = series([1]).points.map((p) => ({
		...p,
		from: p.from - 5 * HOUR,
		to: p.to - 5 * HOUR,
	}));
	t.regex(why(series([], { points: past })), /ends in the past/);
	// Half a day of forecast for a whole day is used, and the rest is said to be unknown.
	const { curve: half, notes } = assess(series(Array(12).fill(100)), over);
	t.truthy(half);
	t.regex(notes.join(), /knows 50 % of the time until the deadline/);
});

test("windows in node-cron's syntax: spans, starts, time zones, mistakes", (t) => {
	const to = T0 + 24 * HOUR;
	const night = openWindow("* 22-23,0-5 * * *", T0, to, "UTC");
	t.deepEqual(night, {
		kind: "spans",
		spans: [{ from: T0 + 12 * HOUR, to: T0 + 20 * HOUR }],
	});
	t.deepEqual(openWindow("0 22 * * *", T0, to, "UTC"), {
		kind: "starts",
		starts: [T0 + 12 * HOUR],
	});
	t.deepEqual(openWindow("0 22 * * *", T0, to, "Asia/Tokyo"), {
		kind: "starts",
		starts: [T0 + 3 * HOUR],
	});
	// Begun in the middle of a span, it lasts from now.
	t.deepEqual(openWindow("* 9-11 * * *", T0 + HOUR / 3, to, "UTC"), {
		kind: "spans",
		spans: [
			{ from: T0 + HOUR / 3, to: T0 + 2 * HOUR },
			{ from: T0 + 23 * HOUR, to },
		],
	});
	t.throws(() => openWindow("61 * * * *", T0, to), { message: /--window "61/ });
	t.throws(() => openWindow("0 22 * * *", T0, to, "Mars/Olympus"), {
		message: /--window/,
	});
	t.deepEqual(openWindow("0 0 29 2 *", T0, to), { kind: "spans", spans: [] });
});
