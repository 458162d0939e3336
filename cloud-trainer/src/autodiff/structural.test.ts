import test from "ava";
import fc from "fast-check";
import { structural } from "./structural.ts";
import { type Case, checkCase, Draw, type Range } from "./testing.ts";

const total = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);

/** Reductions: axes are an input for ReduceSum, and for all from opset 18 on; else an attribute. */
const reduce =
	(op: string, range: Range = {}): Case =>
	(d) => {
		const shape = d.shape(1);
		const keepdims = d.int(0, 1);
		const axes = d.axes(shape.length, 1);
		const x = d.active(shape, range);
		if (d.flag()) return d.b.op(op, [x], { keepdims });
		const opset = d.b.graph.opsets[""] ?? 0;
		return op === "ReduceSum" || opset >= 18
			? d.b.op(op, [x, d.b.ints(axes)], { keepdims })
			: d.b.op(op, [x], { keepdims, axes });
	};

const CASES: Record<keyof typeof structural, Case> = {
	Reshape: (d) => {
		const shape = d.shape(1);
		const target = d.pick([
			[-1],
			[1, total(shape)],
			[...shape.slice(0, -1).map(() => 0), -1, 1],
		]);
		return d.b.reshape(d.active(shape), target);
	},
	Flatten: (d) => {
		const shape = d.shape();
		return d.b.op("Flatten", [d.active(shape)], {
			axis: d.int(-shape.length, shape.length),
		});
	},
	Squeeze: (d) => {
		const shape = d.shape(1).map((v) => (d.flag() ? 1 : v));
		const ones = [...shape.keys()].filter((i) => shape[i] === 1);
		const axes = ones.filter(() => d.flag());
		const x = d.active(shape, axes.length ? {} : { fixed: "all" });
		return d.b.op("Squeeze", axes.length ? [x, d.b.ints(axes)] : [x]);
	},
	Unsqueeze: (d) => {
		const shape = d.shape(0, 2);
		const rank = shape.length + 1;
		return d.b.op("Unsqueeze", [d.active(shape), d.b.ints([d.axis(rank)])]);
	},
	Transpose: (d) => {
		const shape = d.shape(2, 4);
		const from = [...shape.keys()];
		const perm = shape.map(
			() => from.splice(d.int(0, from.length - 1), 1)[0] as number,
		);
		return d.b.op("Transpose", [d.active(shape)], d.flag() ? { perm } : {});
	},
	ReduceSum: reduce("ReduceSum"),
	ReduceMean: reduce("ReduceMean"),
	ReduceSumSquare: reduce("ReduceSumSquare"),
	ReduceMax: reduce("ReduceMax", { apart: true }),
	ReduceMin: reduce("ReduceMin", { apart: true }),
	Concat: (d) => {
		const shape = d.shape(1);
		const axis = d.axis(shape.length);
		const at = axis < 0 ? axis + shape.length : axis;
		// None, one or several inputs are open along the axis.
		const parts = Array.from({ length: d.int(1, 3) }, () =>
			d.active(
				shape.map((v, j) => (j === at ? d.int(1, 3) : v)),
				d.flag() ? {} : { fixed: [axis] },
			),
		);
		const again = d.int(0, 4) === 0 ? parts.slice(0, 1) : [];
		return d.b.concat([...parts, ...again], axis);
	},
	Split: (d) => {
		const shape = d.shape(1);
		const axis = d.axis(shape.length);
		const at = axis < 0 ? axis + shape.length : axis;
		const sizes = d.list(d.int(1, 3), 1, 3);
		const x = d.active(
			shape.map((v, i) =>
				i === at ? total([sizes.reduce((a, b) => a + b, 0)]) : v,
			),
		);
		const parts = d.b.ops("Split", [x, d.b.ints(sizes)], sizes.length, {
			axis,
		});
		// Some outputs are used, some twice, some not at all.
		const used = parts.filter(() => d.flag());
		const some = used.length ? used : parts;
		return d.b.concat([...some, some[0] as (typeof some)[0]], axis);
	},
	Slice: (d) => {
		const shape = d.shape(1);
		const axes = d.axes(shape.length, 1);
		const far = 2 ** 31 - 1;
		const bounds = axes.map((axis): [number, number] => {
			const size = shape.at(axis) as number;
			// What a symbol's slice can be told from: from the front to the back.
			if (d.symbolic && size > 1)
				return [d.int(0, 1), d.pick([far, -1, 1 - size])];
			return [d.int(-size - 1, size), d.pick([far, d.int(-size, size)])];
		});
		const plain = d.int(0, 1) ? [] : [d.b.ints(axes.map(() => 1))];
		return d.b.op("Slice", [
			d.active(shape),
			d.b.ints(bounds.map(([s]) => s)),
			d.b.ints(bounds.map(([, e]) => e)),
			d.b.ints(axes),
			...plain,
		]);
	},
	Pad: (d) => {
		const shape = d.shape(1);
		const rank = shape.length;
		const filling = d.flag() ? d.b.scalar(0.5) : undefined;
		const axes = d.axes(rank, 1);
		const some = (d.b.graph.opsets[""] ?? 0) >= 18 && d.flag();
		const count = some ? axes.length : rank;
		return d.b.op("Pad", [
			d.active(shape),
			d.b.ints(d.list(2 * count, 0, 2)),
			filling,
			some ? d.b.ints(axes) : undefined,
		]);
	},
	Gather: (d) => {
		const rows = d.int(1, 4);
		const table = d.active([rows, d.int(1, 3)], { fixed: "all" });
		return d.b.op("Gather", [table, d.indices(d.shape(0, 2), rows)]);
	},
};

test("every rule has a case", (t) => {
	t.deepEqual(Object.keys(CASES).sort(), Object.keys(structural).sort());
});

for (const [op, build] of Object.entries(CASES))
	for (const opset of [17, 18])
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
					{ numRuns: 8 },
				);
			},
		);
