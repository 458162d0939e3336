import test from "ava";
import fc from "fast-check";
import {
	bootstrap,
	centroid,
	cosine,
	mean,
	meanEstimate,
	quantile,
	shareEstimate,
} from "./stats.ts";

test("mean and quantile know nothing of an empty list", (t) => {
	t.true(Number.isNaN(mean([])));
	t.true(Number.isNaN(quantile([], 0.5)));
	t.is(mean([1, 2, 6]), 3);
	t.is(quantile([4, 1, 3, 2], 0.5), 2.5);
	t.is(quantile([4, 1, 3, 2], 1), 4);
});

test("quantiles rise with q and stay within the data", (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), {
				minLength: 1,
			}),
			fc.double({ min: 0, max: 1, noNaN: true }),
			fc.double({ min: 0, max: 1, noNaN: true }),
			(xs, p, q) => {
				const [lo, hi] = p < q ? [p, q] : [q, p];
				const a = quantile(xs, lo);
				const b = quantile(xs, hi);
				return (
					a <= b + 1e-6 && a >= Math.min(...xs) && b <= Math.max(...xs) + 1e-6
				);
			},
		),
	);
	t.pass();
});

test("cosine: identity, opposition, right angle, scale", (t) => {
	t.is(cosine([3, 4], [3, 4]), 1);
	t.is(cosine([3, 4], [-6, -8]), -1);
	t.is(cosine([1, 0], [0, 5]), 0);
	t.is(cosine([0, 0], [1, 2]), 0);
});

test("a centroid has unit length and ignores the scale of its members", (t) => {
	const c = centroid([Float32Array.of(10, 0), Float32Array.of(0, 0.1)]);
	t.true(Math.abs(Math.hypot(...c) - 1) < 1e-6);
	t.true(Math.abs((c[0] ?? 0) - (c[1] ?? 0)) < 1e-6);
});

test("a bootstrap repeats, brackets its value and narrows with data", (t) => {
	const xs = Array.from({ length: 400 }, (_, i) => (i * 7919) % 100);
	const small = meanEstimate(xs.slice(0, 20));
	const large = meanEstimate(xs);
	t.deepEqual(large, meanEstimate(xs));
	t.true(large.low < large.value && large.value < large.high);
	t.true(large.high - large.low < small.high - small.low);
	t.true(Number.isNaN(bootstrap(0, () => Number.NaN).low));
});

test("Wilson interval matches published values", (t) => {
	// Wilson interval of 45 of 50: 0.786 to 0.957 (Brown, Cai & DasGupta's formula).
	const s = shareEstimate(45, 50);
	t.is(s.value, 0.9);
	t.true(Math.abs(s.low - 0.7864) < 5e-4);
	t.true(Math.abs(s.high - 0.9565) < 5e-4);
	t.is(shareEstimate(0, 10).low, 0);
	t.is(shareEstimate(10, 10).high, 1);
	t.true(Number.isNaN(shareEstimate(0, 0).value));
});
