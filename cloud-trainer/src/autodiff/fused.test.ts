import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { fused } from "./fused.ts";
import type { Case } from "./testing.ts";

const CASES: Record<string, Case> = {
	"com.microsoft.Gelu": (d) =>
		d.b.op("Gelu", [d.active(d.shape())], {}, "com.microsoft"),
	"com.microsoft.FastGelu": (d) => {
		const shape = d.shape(1);
		// Below -3 the sum of x and bias leaves 1 + tanh(x) nothing but rounding.
		const size: [number, number] = [0.1, 1];
		return d.b.op(
			"FastGelu",
			[
				d.active(shape, { fixed: [-1], size }),
				d.flag()
					? d.active(shape.slice(-1), { fixed: "all", size })
					: undefined,
			],
			{},
			"com.microsoft",
		);
	},
};

ruleTests(test, CASES, fused, {
	later: {
		Gelu: [
			20,
			(d) =>
				d.b.op("Gelu", [d.active(d.shape())], {
					approximate: d.pick(["none", "tanh"]),
				}),
		],
	},
});
