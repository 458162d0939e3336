import { floats, GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { reductions } from "./reductions.ts";
import { type Case, gradientsAt, type Range } from "./testing.ts";

/**
 * Axes are an input for ReduceSum, and for all from opset 18 on, constant or fed; else an attribute.
 */
const reduce =
	(op: string, range: Range = {}, noop = false): Case =>
	(d) => {
		const shape = d.shape(1);
		const keepdims = d.int(0, 1);
		const asInput = op === "ReduceSum" || (d.b.graph.opsets[""] ?? 0) >= 18;
		const none = noop && asInput && d.int(0, 3) === 0;
		const axes = none ? [] : d.axes(shape.length, 1);
		const x = d.active(shape, range);
		if (d.int(0, 2) === 0) return d.b.op(op, [x], { keepdims });
		if (!asInput) return d.b.op(op, [x], { keepdims, axes });
		const given = d.int(0, 2) ? d.b.ints(axes) : d.setting(axes);
		const y = d.b.op(op, [x, given], {
			keepdims,
			...(none ? { noop_with_empty_axes: 1 } : {}),
		});
		const rank = keepdims ? shape.length : shape.length - axes.length;
		// What a fed list of axes leaves is no business of inference.
		return y.shape
			? y
			: d.b.assume(
					y,
					Array.from({ length: rank }, (_, i) => `R${i}`),
				);
	};
const positive: Range = { positive: true, size: [0.5, 2] };

const CASES: Record<keyof typeof reductions, Case> = {
	ReduceSum: reduce("ReduceSum", {}, true),
	ReduceMean: reduce("ReduceMean", {}, true),
	ReduceMax: reduce("ReduceMax", { apart: true }, true),
	ReduceMin: reduce("ReduceMin", { apart: true }, true),
	ReduceProd: reduce("ReduceProd", {}, true),
	ReduceL1: reduce("ReduceL1"),
	ReduceL2: reduce("ReduceL2", { size: [0.5, 2] }),
	ReduceSumSquare: reduce("ReduceSumSquare"),
	ReduceLogSum: reduce("ReduceLogSum", positive),
	ReduceLogSumExp: reduce("ReduceLogSumExp"),
	CumSum: (d) => {
		const shape = d.shape(1);
		const axis = d.scalarSetting(d.axis(shape.length));
		return d.b.op("CumSum", [d.active(shape), axis], {
			exclusive: d.int(0, 1),
			reverse: d.int(0, 1),
		});
	},
};

ruleTests(test, CASES, reductions, { opsets: [[13, 17, 18, 21]] });

test("a product has gradients where factors are zero", async (t) => {
	const x = floats([2, 3, 4, 2, 0, 4, 0, 3, 0], [3, 3]);
	for (const keepdims of [0, 1]) {
		const b = new GraphBuilder();
		const v = b.input("x", "float32", [3, "T"]);
		const y = b.op("ReduceProd", [v], { axes: [1], keepdims });
		t.deepEqual(await gradientsAt(b.graph, y.name, ["x"], { x }), [
			[12, 8, 6, 0, 8, 0, 0, 0, 0],
		]);
	}
});

test("norms of zero have the gradient zero", async (t) => {
	for (const op of ["ReduceL1", "ReduceL2"]) {
		const b = new GraphBuilder();
		const v = b.input("x", "float32", [2]);
		const y = b.op(op, [v]);
		t.deepEqual(
			await gradientsAt(b.graph, y.name, ["x"], { x: floats([0, 0]) }),
			[[0, 0]],
		);
	}
});
