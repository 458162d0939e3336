import { floats, GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { activations } from "./activations.ts";
import { type Case, gradientsAt, type Range } from "./testing.ts";

const unary =
	(op: string, range: Range = {}, attrs: readonly string[] = []): Case =>
	(d) =>
		d.b.op(
			op,
			[d.active(d.shape(), range)],
			Object.fromEntries(
				attrs
					.filter(() => d.flag())
					.map((name) => [
						name,
						// Kinks stand at multiples of 1/8, values at odd multiples of 1/20.
						{ kind: "float", value: d.int(1, 8) / 8 } as const,
					]),
			),
		);
/** Values whose distance from every multiple of 1/8 is above the check's move. */
const kinked: Range = { apart: true };
const inside: Range = { size: [0.1, 0.8] };

const CASES: Record<keyof typeof activations, Case> = {
	Elu: unary("Elu", {}, ["alpha"]),
	Selu: unary("Selu", {}, ["alpha", "gamma"]),
	Celu: unary("Celu", {}, ["alpha"]),
	PRelu: (d) => {
		const shape = d.shape();
		return d.b.op("PRelu", [d.active(shape), d.active(d.partner(shape))]);
	},
	ThresholdedRelu: (d) =>
		d.b.op("ThresholdedRelu", [d.active(d.shape(), kinked)], {
			alpha: { kind: "float", value: d.int(-2, 2) + 0.05 },
		}),
	Shrink: (d) =>
		d.b.op("Shrink", [d.active(d.shape(), kinked)], {
			lambd: { kind: "float", value: d.int(0, 2) + 0.05 },
			bias: { kind: "float", value: d.int(0, 2) / 2 },
		}),
	HardSigmoid: (d) =>
		d.b.op("HardSigmoid", [d.active(d.shape(), kinked)], {
			alpha: { kind: "float", value: 0.25 },
			beta: { kind: "float", value: 0.5125 },
		}),
	HardSwish: (d) =>
		d.b.op("HardSwish", [d.b.affine(d.active(d.shape(), kinked), 1, 0.05)]),
	Mish: unary("Mish"),
	Swish: unary("Swish", {}, ["alpha"]),
	Softsign: unary("Softsign"),
	Tan: unary("Tan", { size: [0.1, 1] }),
	Asin: unary("Asin", inside),
	Acos: unary("Acos", inside),
	Atan: unary("Atan"),
	Sinh: unary("Sinh"),
	Cosh: unary("Cosh"),
	Asinh: unary("Asinh"),
	Acosh: unary("Acosh", { positive: true, size: [1.3, 3] }),
	Atanh: unary("Atanh", inside),
};
/** Operators that are younger than the oldest opset we differentiate. */
const SINCE: Record<string, number> = { HardSwish: 14, Mish: 18, Swish: 24 };

ruleTests(test, CASES, activations, {
	opsets: [[13, 18, 22]],
	runs: 6,
	since: SINCE,
});

test("slopes where the pieces meet are those of the flat or the lower side", async (t) => {
	for (const [op, x, slope] of [
		["Elu", 0, 1],
		["ThresholdedRelu", 1, 0],
		["PRelu", 0, 1],
		["HardSigmoid", -2.5, 0],
		["HardSwish", -3, 0],
	] as const) {
		const b = new GraphBuilder();
		const v = b.input("x", "float32", [1]);
		const y = b.op(op, op === "PRelu" ? [v, b.scalar(0.25)] : [v]);
		t.deepEqual(
			await gradientsAt(b.graph, y.name, ["x"], { x: floats([x]) }),
			[[slope]],
			op,
		);
	}
});
