import type { TestFn } from "ava";
import fc from "fast-check";
import { type Case, checkCase, Draw } from "./testing.ts";

/** Runs of a case, and the opsets of its graphs. */
export interface RuleTestOptions {
	opsets?: readonly number[];
	runs?: number;
}

/** Registers a gradient check of random draws for each case, and a test that every rule has a case. */
export function ruleTests(
	test: TestFn,
	cases: Readonly<Record<string, Case>>,
	rules: Readonly<Record<string, unknown>>,
	{ opsets = [17], runs = 12 }: RuleTestOptions = {},
): void {
	test("every rule has a case", (t) => {
		const ops = Object.keys(cases).map((name) => name.replace(/ .*/, ""));
		t.deepEqual([...new Set(ops)].sort(), Object.keys(rules).sort());
	});
	for (const [op, build] of Object.entries(cases))
		for (const opset of opsets)
			test.serial(
				`${op}, opset ${opset}: the gradient is what finite differences give`,
				async (t) => {
					await fc.assert(
						fc.asyncProperty(fc.gen(), async (g) => {
							const d = new Draw(
								(min, max) => g(fc.integer, { min, max }),
								opset,
							);
							t.is(await checkCase(d, build), undefined);
						}),
						{ numRuns: runs, includeErrorInReport: true },
					);
				},
			);
}
