import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { structural } from "./structural.ts";
import type { Case } from "./testing.ts";

const total = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);

const CASES: Record<keyof typeof structural, Case> = {
	Reshape: (d) => {
		const shape = d.shape(1);
		const target = d.pick([
			[-1],
			[1, total(shape)],
			[...shape.slice(0, -1).map(() => 0), -1, 1],
		]);
		return d.flag()
			? d.b.reshape(d.active(shape), target)
			: d.b.op("Reshape", [d.active(shape), d.setting(target)]);
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
		const whole = sizes.reduce((a, b) => a + b, 0);
		const x = d.active(shape.map((v, i) => (i === at ? whole : v)));
		const opset = d.b.graph.opsets[""] ?? 0;
		const parts = d.flag()
			? d.b.ops("Split", [x, d.b.ints(sizes)], sizes.length, { axis })
			: opset >= 18
				? d.b.ops("Split", [x], whole % 2 ? whole : d.pick([1, 2]), {
						axis,
						num_outputs: 0,
					})
				: d.b.ops("Split", [x], 1, { axis });
		const last = d.b.graph.nodes.at(-1);
		if (last?.attrs.num_outputs)
			last.attrs.num_outputs = { kind: "int", value: parts.length };
		// Some outputs are used, some twice, some not at all.
		const used = parts.filter(() => d.flag());
		const some = used.length ? used : parts;
		return d.b.concat([...some, some[0] as (typeof some)[0]], axis);
	},
};

ruleTests(test, CASES, structural, { opsets: [17, 18], runs: 8 });
