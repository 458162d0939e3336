import test from "ava";
import { compare, incompleteBeta, studentQuantile } from "./statistics.ts";

test("Student's quantiles are those of the tables", (t) => {
	// 97.5 %: Abramowitz and Stegun, table 26.10
	for (const [freedom, expected] of [
		[1, 12.706],
		[2, 4.303],
		[5, 2.571],
		[10, 2.228],
		[30, 2.042],
		[120, 1.98],
	] as const)
		t.true(Math.abs(studentQuantile(0.975, freedom) - expected) < 1e-3);
	t.is(studentQuantile(0.025, 10), -studentQuantile(0.975, 10));
	// I_x(1, b) = 1 - (1 - x)^b, I_x(a, 1) = x^a
	t.true(Math.abs(incompleteBeta(0.3, 1, 4) - (1 - 0.7 ** 4)) < 1e-12);
	t.true(Math.abs(incompleteBeta(0.9, 3, 1) - 0.9 ** 3) < 1e-12);
});

/** Reproducible normal numbers: Box and Muller over a small generator (mulberry32). */
function normals(seed: number): () => number {
	let state = seed;
	const uniform = () => {
		state = (state + 0x6d2b79f5) | 0;
		let z = Math.imul(state ^ (state >>> 15), 1 | state);
		z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
		return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
	};
	return () =>
		Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

test("the interval covers the true ratio as often as it says, with mixed kinds of devices", (t) => {
	const normal = normals(7);
	const sample = (factor: number, kind: "nano" | "agx", spread: number) => ({
		kind,
		value: factor * (kind === "nano" ? 2 : 9) * Math.exp(spread * normal()),
	});
	const truth = 1.08;
	let covered = 0;
	const runs = 2000;
	for (let run = 0; run < runs; run++) {
		const canary = Array.from({ length: 12 }, (_, i) =>
			sample(truth, i % 4 === 0 ? "agx" : "nano", 0.2),
		);
		const control = Array.from({ length: 40 }, (_, i) =>
			sample(1, i % 2 === 0 ? "agx" : "nano", 0.05),
		);
		const c = compare(canary, control);
		if (c && c.low <= truth && truth <= c.high) covered++;
	}
	t.true(Math.abs(covered / runs - 0.95) < 0.015, String(covered / runs));
});

test("too few devices, or none of a kind in both groups, give no comparison", (t) => {
	const some = (n: number, kind: string) =>
		Array.from({ length: n }, (_, i) => ({ kind, value: 1 + i / 10 }));
	t.is(compare(some(4, "a"), some(20, "a")), undefined);
	t.is(compare(some(20, "a"), some(4, "a")), undefined);
	t.is(compare(some(20, "a"), some(20, "b")), undefined);
	const same = compare(
		some(6, "a").map((s) => ({ ...s, value: 2 })),
		some(6, "a").map((s) => ({ ...s, value: 1 })),
	);
	t.like(same, { ratio: 2, low: 2, high: 2, canary: 6, control: 6 });
});
