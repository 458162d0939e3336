import type { TestFn } from "ava";
import fc from "fast-check";
import { type Case, checkCase, Draw } from "./testing.ts";

/** Runs of a case, and the opsets of its graphs. */
export interface RuleTestOptions {
	opsets?: readonly number[];
	runs?: number;
	/** Largest deviation, where an operator's own rounding is above the usual. */
	tolerance?: number;
	/** Further cases with the one opset of their graphs. */
	later?: Readonly<Record<string, readonly [opset: number, build: Case]>>;
}

/** Registers a gradient check of random draws for each case, and a test that every rule has a case. */
export function ruleTests(
	test: TestFn,
	cases: Readonly<Record<string, Case>>,
	rules: Readonly<Record<string, unknown>>,
	{ opsets = [17], runs = 12, tolerance, later = {} }: RuleTestOptions = {},
): void {
	const all = [
		...opsets.flatMap((opset) =>
			Object.entries(cases).map(([op, build]) => [op, opset, build] as const),
		),
		...Object.entries(later).map(
			([op, [opset, build]]) => [op, opset, build] as const,
		),
	];
	test("every rule has a case", (t) => {
		const ops = all.map(([name]) => name.replace(/ .*/, ""));
		t.deepEqual([...new Set(ops)].sort(), Object.keys(rules).sort());
	});
	for (const [op, opset, build] of all)
		test.serial(
			`${op}, opset ${opset}: the gradient is what finite differences give`,
			async (t) => {
				await fc.assert(
					fc.asyncProperty(fc.gen(), async (g) => {
						const d = new Draw(
							(min, max) => g(fc.integer, { min, max }),
							opset,
						);
						t.is(await checkCase(d, build, tolerance), undefined);
					}),
					{ numRuns: runs, includeErrorInReport: true },
				);
			},
		);
}
