import type { TestFn } from "ava";
import fc from "fast-check";
import { type Case, checkCase, Draw } from "./testing.ts";

/** Runs of a case, and the opsets of its graphs. */
export interface RuleTestOptions {
	/** A test for each of them. A list among them is one test, whose runs draw from it. */
	opsets?: readonly (number | readonly number[])[];
	/** Runs of each test, or of the tests of an operator. */
	runs?: number | ((op: string) => number);
	/** Operators that are younger than some of the opsets: there their own is taken. */
	since?: Readonly<Record<string, number>>;
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
	{
		opsets = [17],
		runs = 12,
		since = {},
		tolerance,
		later = {},
	}: RuleTestOptions = {},
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
			`${op}, opset ${[opset].flat().join(" or ")}: the gradient is what finite differences give`,
			async (t) => {
				await fc.assert(
					fc.asyncProperty(fc.gen(), async (g) => {
						const drawn =
							typeof opset === "number" ? opset : g(fc.constantFrom, ...opset);
						const d = new Draw(
							(min, max) => g(fc.integer, { min, max }),
							Math.max(drawn, since[op] ?? 0),
						);
						t.is(await checkCase(d, build, tolerance), undefined);
					}),
					{
						numRuns: typeof runs === "number" ? runs : runs(op),
						includeErrorInReport: true,
					},
				);
			},
		);
}
