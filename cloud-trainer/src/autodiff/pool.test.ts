import { floats, GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { pool } from "./pool.ts";
import {
	type Case,
	type Draw,
	gradientsAt,
	threadDifference,
} from "./testing.ts";

const slides =
	(op: string, rank: number, opset: number): Case =>
	(d) => {
		const kernel_shape = d.list(rank, 1, 3);
		const auto = d.int(0, 3) === 0;
		const ceil = auto ? 0 : d.int(0, 1);
		// Before opset 22 ONNX Runtime infers one window too many where the last would start in the
		// padding behind; of SAME it refuses strides longer than the kernel.
		const tight = auto || (ceil === 1 && opset < 22);
		const pads = [
			...kernel_shape.map((k) => d.int(0, k - 1)),
			...kernel_shape.map((k) => (tight ? 0 : d.int(0, k - 1))),
		];
		const dilated = (op === "MaxPool" || opset >= 19) && !auto && d.flag();
		const averages = op === "AveragePool";
		return d.b.op(
			op,
			[
				d.active([d.int(1, 2), d.int(1, 2), ...d.list(rank, 5, 6)], {
					apart: !averages,
					...(auto ? { fixed: [2, 3] } : {}),
				}),
			],
			{
				kernel_shape,
				...(d.flag()
					? { strides: kernel_shape.map((k) => d.int(1, tight ? k : 3)) }
					: {}),
				...(auto
					? { auto_pad: d.pick(["SAME_UPPER", "SAME_LOWER", "VALID"]) }
					: { pads, ceil_mode: ceil }),
				...(dilated ? { dilations: d.list(rank, 1, 2) } : {}),
				...(averages ? { count_include_pad: d.int(0, 1) } : {}),
			},
		);
	};

const places = (d: Draw) => d.list(d.int(1, 2), 1, 4);
const CASES: Record<string, Case> = {
	"AveragePool over one axis": slides("AveragePool", 1, 17),
	"AveragePool over two axes": slides("AveragePool", 2, 17),
	"MaxPool over one axis": slides("MaxPool", 1, 17),
	"MaxPool over two axes": slides("MaxPool", 2, 17),
	"MaxPool over three axes": (d) =>
		d.b.op("MaxPool", [d.active([1, 2, 4, 4, 4], { apart: true })], {
			kernel_shape: d.list(3, 1, 2),
		}),
	GlobalAveragePool: (d) =>
		d.b.op("GlobalAveragePool", [d.active([d.int(1, 2), 2, ...places(d)])]),
	GlobalMaxPool: (d) =>
		d.b.op("GlobalMaxPool", [
			d.active([d.int(1, 2), 2, ...places(d)], { apart: true }),
		]),
};

ruleTests(test, CASES, pool, {
	runs: 15,
	later: {
		"AveragePool with dilations": [19, slides("AveragePool", 1, 19)],
		"MaxPool of a later opset": [22, slides("MaxPool", 2, 22)],
	},
});

test("of ties in a MaxPool window the first gets the cotangent, overlapping windows add up", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [1, 1, "T"]);
	const y = b.op("MaxPool", [x], { kernel_shape: [3], strides: [1] });
	const [dx] = await gradientsAt(b.graph, y.name, ["x"], {
		x: floats([1, 2, 2, 0, 2, 0, 0], [1, 1, 7]),
	});
	t.deepEqual(dx, [0, 2, 1, 0, 2, 0, 0]);
});

test("ties of GlobalMaxPool share the cotangent", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [1, 2, 3]);
	const y = b.op("GlobalMaxPool", [x]);
	const [dx] = await gradientsAt(b.graph, y.name, ["x"], {
		x: floats([1, 3, 3, 4, 2, 2], [1, 2, 3]),
	});
	t.deepEqual(dx, [0, 0.5, 0.5, 1, 0, 0]);
});

for (const op of ["AveragePool", "MaxPool"])
	test(`${op}: one thread and four agree`, async (t) => {
		const worst = await threadDifference((d) =>
			d.b.op(op, [d.active([4, 16, 23, 23])], {
				kernel_shape: [3, 3],
				strides: [2, 2],
				pads: [1, 1, 1, 1],
			}),
		);
		t.true(worst < 1e-5);
	});
