import { WattvoxError } from "@wattvox/core";
import test from "ava";
import fc from "fast-check";
import { pricedCarbon } from "./priced.ts";
import {
	type CarbonSource,
	fixedCarbon,
	type Series,
	valueAt,
} from "./source.ts";

const [FROM, TO] = [new Date(0), new Date(100)];

function source(
	kind: Series["kind"],
	points: Series["points"],
	issuedAt: number | null = null,
): CarbonSource {
	const series = async (): Promise<Series> => ({
		...{ source: kind, unit: kind, kind, issuedAt, points },
	});
	return {
		name: kind,
		intensity: async () => points[0]?.value ?? null,
		forecast: series,
		history: series,
	};
}

const broken: CarbonSource = {
	name: "broken",
	intensity: async () => null,
	forecast: async () => {
		throw new WattvoxError("E_CARBON", "no answer");
	},
	history: async () => {
		throw new WattvoxError("E_CARBON", "no answer");
	},
};

test("a tariff and carbon at a price are one price, known where both are", async (t) => {
	const tariff = source("price", [
		{ from: 0, to: 30, value: 0.2 },
		{ from: 30, to: 100, value: 0.3 },
	]);
	const carbon = source(
		"average",
		[
			{ from: 0, to: 20, value: 500 },
			{ from: 20, to: 50, value: null },
			{ from: 60, to: 100, value: 100 },
		],
		7,
	);
	// 100 per tonne: 500 g are 0.05
	const one = pricedCarbon(tariff, carbon, 100);
	const series = await one.forecast(FROM, TO);
	t.is(series.issuedAt, 7);
	t.is(series.kind, "price");
	t.deepEqual(
		series.parts?.map((p) => p.kind),
		["price", "average"],
	);
	for (const [at, value] of [
		[0, 0.25],
		[25, null],
		[55, null],
		[60, 0.31],
		[99, 0.31],
	] as const) {
		const got = valueAt(series, at);
		if (value === null) t.is(got, null, `${at}`);
		else t.true(Math.abs((got ?? 0) - value) < 1e-12, `${at}: ${got}`);
	}
	t.is(await one.intensity(FROM), 0.2 + 0.05);
});

test("where one source fails the other decides alone, and that is said", async (t) => {
	const tariff = source("price", [{ from: 0, to: 100, value: 0.2 }]);
	const alone = await pricedCarbon(tariff, broken, 100).forecast(FROM, TO);
	t.is(valueAt(alone, 50), 0.2);
	t.regex(alone.notes?.[0] ?? "", /no answer; the other decides alone/);
	const green = await pricedCarbon(
		broken,
		fixedCarbon("fixed:400", 400),
		50,
	).history(FROM, TO);
	t.true(Math.abs((valueAt(green, 50) ?? 0) - 0.02) < 1e-12);
	await t.throwsAsync(pricedCarbon(broken, broken, 1).forecast(FROM, TO), {
		code: "E_CARBON",
	});
	for (const price of [0, -1, Number.NaN, Number.POSITIVE_INFINITY])
		t.throws(() => pricedCarbon(tariff, broken, price), { code: "E_USAGE" });
});

test("whatever the stretches: at every moment it is the sum of the two", async (t) => {
	const stretches = fc
		.array(
			fc.record({
				gap: fc.integer({ min: 0, max: 5 }),
				long: fc.integer({ min: 1, max: 9 }),
				value: fc.option(fc.integer({ min: 0, max: 900 })),
			}),
			{ maxLength: 12 },
		)
		.map((list) => {
			let end = 0;
			return list.map(({ gap, long, value }) => {
				const from = end + gap;
				end = from + long;
				return { from, to: end, value };
			});
		});
	await fc.assert(
		fc.asyncProperty(stretches, stretches, async (a, b) => {
			const [money, grams] = [source("price", a), source("average", b)];
			const both = await pricedCarbon(money, grams, 1e6).forecast(FROM, TO);
			const [x, y] = [
				await money.forecast(FROM, TO),
				await grams.forecast(FROM, TO),
			];
			for (let at = 0; at < 170; at++) {
				const [m, g] = [valueAt(x, at), valueAt(y, at)];
				t.is(valueAt(both, at), m === null || g === null ? null : m + g);
			}
		}),
		{ numRuns: 50 },
	);
});
