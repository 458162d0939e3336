import type { ExecutionContext } from "ava";
import fc from "fast-check";
import type { PowerPoint } from "./point.ts";
import type { PowerStore, Retention, Usage } from "./store.ts";

/** A store that a contract can be held against. */
export interface StoreUnderTest {
	/** An empty one, started; the test ends it. */
	fresh(
		t: ExecutionContext,
		options?: {
			retention?: Partial<Retention>;
			now?: () => number;
			/** Nothing has to outlive it: it may be made in memory. */
			brief?: boolean;
		},
	): Promise<PowerStore>;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A day's beginning. */
export const T0 = Date.UTC(2026, 4, 1);
const NOW = () => T0 + 2 * DAY;
const VOICES = [null, "a".repeat(64), "b".repeat(64)];

/** A point with what a test does not care about filled in. */
export function point(some: Partial<PowerPoint>): PowerPoint {
	return {
		...{ fleet: "home", device: "d1", boot: "b1", sensor: "ina3221" },
		...{ measured: true, voice: VOICES[1] ?? null, deviceClass: "orin-nano" },
		...{ sequence: 0, millijoules: 0, speechMillijoules: 0 },
		...{ utterances: 0, audioMs: 0, computeMs: 0, at: T0 },
		...some,
	};
}

/** What a counter has drawn by the time `until`: the highest count with an earlier time. */
function highest(points: readonly PowerPoint[], until: number): number {
	return points
		.filter((p) => p.at < until)
		.reduce((most, p) => Math.max(most, p.millijoules ?? 0), 0);
}

function counters(points: readonly PowerPoint[]): PowerPoint[][] {
	const out = new Map<string, PowerPoint[]>();
	for (const p of points) {
		const key = `${p.fleet} ${p.device} ${p.boot} ${p.sensor} ${p.measured}`;
		out.set(key, [...(out.get(key) ?? []), p]);
	}
	return [...out.values()];
}

/** Millijoules of `points` in a span, by the definition. */
function drawn(
	points: readonly PowerPoint[],
	measured: boolean,
	since: number,
	until: number,
): number | null {
	const known = counters(points.filter((p) => p.measured === measured)).filter(
		(c) =>
			c.some((p) => p.millijoules !== null && p.at >= since && p.at < until),
	);
	if (known.length === 0) return null;
	return known.reduce(
		(sum, c) => sum + highest(c, until) - highest(c, since),
		0,
	);
}

function joules(rows: readonly Usage[], kind: "measured" | "estimated") {
	const known = rows.filter((r) => r[kind] !== null);
	return known.length === 0
		? null
		: known.reduce(
				(sum, r) => sum + Math.round((r[kind]?.joules ?? 0) * 1000),
				0,
			);
}

/** Boots as devices live them: counts rise with the sequence, clocks do as they like. */
const boots = fc.array(
	fc.record({
		device: fc.constantFrom("d1", "d2", "d3"),
		boot: fc.constantFrom("b1", "b2"),
		measured: fc.boolean(),
		steps: fc.array(
			fc.record({
				joules: fc.nat(50_000),
				audio: fc.nat(5000),
				voice: fc.constantFrom(...VOICES),
				unknown: fc.boolean(),
				at: fc.nat({ max: 2 * DAY - 1 }),
			}),
			{ minLength: 1, maxLength: 8 },
		),
	}),
	{ minLength: 1, maxLength: 6 },
);

type Boots = typeof boots extends fc.Arbitrary<infer T> ? T : never;

function reports(lives: Boots): PowerPoint[] {
	const seen = new Set<string>();
	return lives.flatMap(({ device, boot, measured, steps }) => {
		const key = `${device} ${boot} ${measured}`;
		if (seen.has(key)) return [];
		seen.add(key);
		let [mj, audioMs, known] = [0, 0, false];
		return steps.map((step, sequence) => {
			mj += step.joules;
			audioMs += step.audio;
			// what is known once stays known
			known ||= !step.unknown;
			return point({
				...{ device, boot, measured, voice: step.voice, sequence, audioMs },
				millijoules: known ? mj : null,
				speechMillijoules: known ? Math.floor(mj / 2) : null,
				utterances: sequence,
				computeMs: Math.floor(audioMs / 10),
				at: T0 + step.at,
			});
		});
	});
}

type Check = (t: ExecutionContext, store: StoreUnderTest) => Promise<void>;

/** Tests that every power store passes, by name. */
export const STORE_CONTRACT: Readonly<Record<string, Check>> = {
	"totals and every span equal the definition, whatever is doubled, late, lost, reordered or skewed":
		async (t, under) => {
			const store = await under.fresh(t, { now: NOW, brief: true });
			let run = 0;
			await fc.assert(
				fc.asyncProperty(
					boots,
					fc.infiniteStream(fc.nat(9)),
					fc.tuple(fc.nat(47), fc.nat(47)),
					async (lives, dice, [a, b]) => {
						// lost: a roll of 0; doubled: 1; the order by dice too
						const sent = reports(lives).flatMap((p) => {
							const roll = dice.next().value ?? 5;
							return roll === 0 ? [] : roll === 1 ? [p, p] : [p];
						});
						const shuffled = sent
							.map((p) => ({ p, key: dice.next().value ?? 0 }))
							.sort((x, y) => x.key - y.key)
							.map(({ p }) => p);
						const fleet = `f${run++}`;
						for (const p of shuffled) p.fleet = fleet;
						const half = Math.floor(shuffled.length / 2);
						await store.write(shuffled.slice(0, half));
						await store.write(shuffled.slice(half));
						await store.write(shuffled.slice(0, half));
						const from = T0 + Math.min(a, b) * HOUR;
						const to = T0 + (Math.max(a, b) + 1) * HOUR;
						const whole = { since: T0, until: T0 + 2 * DAY };
						const all = await store.usage({ fleet });
						const span = await store.usage({ since: from, until: to, fleet });
						const by = ["device", "voice"] as const;
						const parts = await Promise.all(
							(["minute", "hour", "day"] as const).map((every) =>
								store.usage({ ...whole, every, fleet, by, total: true }),
							),
						);
						// what a device did not say in some minutes is unknown there, and known of the day
						const exact = (of: Usage | null | undefined) =>
							of && [
								...[of.measured?.joules, of.estimated?.joules, of.devices],
								...[of.utterances, of.audioSeconds, of.computeSeconds],
							];
						const [sum = null] = (await store.usage({ ...whole, fleet })).rows;
						for (const { total } of parts)
							t.deepEqual(exact(total), exact(sum));
						for (const kind of ["measured", "estimated"] as const) {
							const is = kind === "measured";
							const ever = drawn(sent, is, 0, Number.POSITIVE_INFINITY);
							t.is(joules(all.rows, kind), ever);
							t.is(joules(span.rows, kind), drawn(sent, is, from, to));
							for (const { rows } of parts) t.is(joules(rows, kind), ever);
						}
					},
				),
				// each run asks a database ten times: no long search for a smaller failure
				{ numRuns: 12, endOnFailure: true },
			);
		},
	"a day's energy comes by hour, and a boot that began before it counts from midnight":
		async (t, under) => {
			const store = await under.fresh(t, { now: NOW });
			await store.write(
				Array.from({ length: 48 }, (_, hour) =>
					point({
						sequence: hour,
						millijoules: (hour + 1) * 1000,
						at: T0 + hour * HOUR + 5,
					}),
				),
			);
			const since = T0 + DAY;
			const { rows } = await store.usage({ since, every: "hour" });
			t.is(rows.length, 24);
			t.true(rows.every((r) => r.measured?.joules === 1));
			t.deepEqual(
				rows.map((r) => r.at),
				rows.map((_, i) => since + i * HOUR),
			);
			const day = await store.usage({ since });
			t.is(day.rows[0]?.measured?.joules, 24);
			t.is(day.since, since);
		},
	"estimates stay apart, unknown is null, and coverage says of how many":
		async (t, under) => {
			const store = await under.fresh(t);
			await store.write([
				point({
					device: "m",
					millijoules: 5000,
					speechMillijoules: 2000,
					audioMs: 4000,
				}),
				point({
					device: "e",
					measured: false,
					sensor: "estimate",
					millijoules: 9000,
				}),
				point({
					device: "u",
					millijoules: null,
					speechMillijoules: null,
					audioMs: 3000,
				}),
				point({ device: "x", millijoules: 1000 }),
				point({
					device: "x",
					measured: false,
					sensor: "estimate",
					millijoules: 10,
				}),
			]);
			const [all] = (await store.usage()).rows;
			t.like(all, { devices: 4, devicesMeasured: 1, audioSeconds: 7 });
			t.deepEqual(all?.measured, {
				...{ joules: 6, speechJoules: 2, speechAudioSeconds: 4 },
			});
			t.is(all?.estimated?.joules, 9.01);
			const { rows } = await store.usage({ by: ["device"] });
			t.deepEqual(
				rows.map((r) => [r.device, r.measured?.joules, r.estimated?.joules]),
				[
					["e", undefined, 9],
					["m", 5, undefined],
					["u", undefined, undefined],
					["x", 1, 0.01],
				],
			);
		},
	"voices, classes and fleets have lines of their own that add up": async (
		t,
		under,
	) => {
		const store = await under.fresh(t, { now: NOW });
		const [, ada, bob] = VOICES;
		await store.write([
			point({ voice: ada ?? null, sequence: 1, millijoules: 3000 }),
			point({ voice: bob ?? null, sequence: 2, millijoules: 10_000 }),
			point({
				device: "d2",
				fleet: "work",
				deviceClass: null,
				voice: null,
				millijoules: 500,
			}),
		]);
		const by = async (...dimensions: ("fleet" | "voice" | "class")[]) =>
			(await store.usage({ since: T0, by: dimensions })).rows.map((r) => [
				...dimensions.map((d) => (d === "class" ? r.deviceClass : r[d])),
				r.measured?.joules,
			]);
		t.deepEqual(await by("voice"), [
			[null, 0.5],
			[ada, 3],
			[bob, 7],
		]);
		t.deepEqual(await by("fleet", "class"), [
			["home", "orin-nano", 10],
			["work", null, 0.5],
		]);
		t.is((await store.usage({ fleet: "work" })).rows[0]?.measured?.joules, 0.5);
		t.deepEqual((await store.usage({ fleet: "none" })).rows, []);
	},
	"what is written stays over a restart, and devices say what they last spoke with":
		async (t, under) => {
			const store = await under.fresh(t);
			const [, ada, bob] = VOICES;
			await store.write([
				point({
					sequence: 9,
					voice: bob ?? null,
					millijoules: 7,
					at: T0 + HOUR,
				}),
				point({ sequence: 3, voice: ada ?? null, millijoules: 5 }),
				point({ boot: "b2", voice: ada ?? null, at: T0 + MINUTE }),
			]);
			await store.stop();
			await store.start();
			t.is((await store.usage()).rows[0]?.measured?.joules, 0.007);
			t.deepEqual(await store.devices("home"), [
				{
					...{ fleet: "home", device: "d1", voice: bob ?? null },
					...{ deviceClass: "orin-nano", sensors: ["ina3221"], boots: 2 },
					...{ firstAt: T0, lastAt: T0 + HOUR },
				},
			]);
		},
	"retention forgets minutes and hours, never a total or the day they were in":
		async (t, under) => {
			const retention = { minutes: 1, hours: 2, days: 3 };
			let now = T0 + DAY;
			const store = await under.fresh(t, { retention, now: () => now });
			await store.write(
				Array.from({ length: 144 }, (_, hour) =>
					point({
						sequence: hour,
						millijoules: (hour + 1) * 10,
						at: T0 + hour * HOUR,
					}),
				),
			);
			now = T0 + 6 * DAY;
			await store.retain(now);
			const mj = async (since: number, every?: "hour" | "day") =>
				joules(
					(await store.usage({ since, ...(every && { every }) })).rows,
					"measured",
				);
			t.is(joules((await store.usage()).rows, "measured"), 1440);
			// of a day whose hours are gone, and of an hour whose minutes are gone
			const old = await store.usage({ since: T0 + 3 * DAY + 30 * MINUTE });
			t.is(old.since, T0 + 3 * DAY);
			t.is(joules(old.rows, "measured"), 720);
			t.is(await mj(T0 + 4 * DAY + 2 * HOUR), 460);
			t.is(await mj(T0 + 5 * DAY + 23 * HOUR + 30 * MINUTE), null);
			t.is(await mj(T0 + 3 * DAY, "day"), 720);
			// a report that comes too late for its minute is still counted
			await store.write([
				point({
					sequence: 500,
					millijoules: 2000,
					at: T0 + 5 * DAY + 23 * HOUR,
				}),
			]);
			t.is(joules((await store.usage()).rows, "measured"), 2000);
		},
	"nothing written gives no lines, and a span without beginning is refused":
		async (t, under) => {
			const store = await under.fresh(t);
			await store.write([]);
			t.deepEqual((await store.usage()).rows, []);
			t.deepEqual((await store.usage({ since: T0, every: "day" })).rows, []);
			t.deepEqual(await store.devices(), []);
			await t.throwsAsync(store.usage({ every: "day" }), { code: "E_USAGE" });
			await t.throwsAsync(store.usage({ since: 5, until: 5 }), {
				code: "E_USAGE",
			});
			await t.throwsAsync(store.usage({ fleet: "' or 1=1" }), {
				code: "E_USAGE",
			});
			await t.throwsAsync(
				store.usage({ signal: AbortSignal.abort(new Error("enough")) }),
				{
					message: "enough",
				},
			);
			await store.stop();
			await store.stop();
		},
};
