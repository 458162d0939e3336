import { GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import fc from "fast-check";
import { differentiate } from "./differentiate.ts";
import { checkCase, Draw } from "./testing.ts";

test("DequantizeLinear: the scale's gradient is what finite differences give", async (t) => {
	await fc.assert(
		fc.asyncProperty(fc.gen(), async (g) => {
			const d = new Draw((min, max) => g(fc.integer, { min, max }));
			const shape = d.shape(1);
			const axis = d.axis(shape.length);
			const each = d.flag() ? [shape.at(axis) as number] : [];
			const int8 = (dims: readonly number[]) =>
				d.b.constant({
					dtype: "int8",
					dims: [...dims],
					data: Int8Array.from(
						{ length: dims.reduce((p, q) => p * q, 1) },
						() => d.int(-9, 9),
					),
				});
			t.is(
				await checkCase(d, () =>
					d.b.op(
						"DequantizeLinear",
						[
							int8(shape),
							d.active(each, { fixed: "all" }),
							d.flag() ? int8(each) : undefined,
						],
						{ axis },
					),
				),
				undefined,
			);
		}),
		{ numRuns: 15 },
	);
});

test("what was quantised is refused, not given zeros", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [4]);
	const q = b.op("QuantizeLinear", [x, b.scalar(0.1)]);
	const y = b.op("DequantizeLinear", [q, b.scalar(0.1)]);
	t.throws(() => differentiate(b.graph, y.name, ["x"]), {
		code: "E_OP_UNSUPPORTED",
		message: /DequantizeLinear.*straight-through/,
	});
});
