import {
	encodeModel,
	floats,
	GraphBuilder,
	int64s,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import test from "ava";
import * as ort from "onnxruntime-node";
import { ruleTests } from "./_rule-tests.test.ts";
import { differentiate } from "./differentiate.ts";
import { indexing } from "./indexing.ts";
import type { Case, Draw } from "./testing.ts";

/** A shape with an axis, and that axis' size. */
function axed(d: Draw, max = 4) {
	const shape = d.shape(1, max);
	const axis = d.axis(shape.length);
	return { shape, axis, size: shape.at(axis) as number };
}
/** The shape of `of` with another size along an axis. */
const along = (of: readonly number[], axis: number, size: number): number[] =>
	of.map((v, i) => (i === (axis + of.length) % of.length ? size : v));

/** Indices along an axis that are different within each line. */
function permutation(d: Draw, shape: readonly number[], axis: number): Value {
	const size = shape.at(axis) as number;
	const shift = d.int(0, size - 1);
	const total = shape.reduce((a, b) => a * b, 1);
	const stride = shape
		.slice(((axis + shape.length) % shape.length) + 1)
		.reduce((a, b) => a * b, 1);
	return d.setting(
		Array.from(
			{ length: total },
			(_, i) =>
				((Math.floor(i / stride) + shift) % size) - (d.flag() ? size : 0),
		),
		[...shape],
	);
}

const reduction = (d: Draw) =>
	(d.b.graph.opsets[""] ?? 0) >= 16 && d.flag() ? { reduction: "add" } : {};

const CASES: Record<keyof typeof indexing, Case> = {
	Gather: (d) => {
		const { shape, axis, size } = axed(d);
		return d.b.op("Gather", [d.active(shape), d.indices(d.shape(0, 2), size)], {
			axis,
		});
	},
	GatherElements: (d) => {
		const { shape, axis, size } = axed(d, 3);
		// Indices may reach less far than the data along the other axes.
		const less = shape.map((v) => (d.symbolic ? v : d.int(1, v)));
		const own = along(less, axis, d.int(1, 4));
		return d.b.op("GatherElements", [d.active(shape), d.indices(own, size)], {
			axis,
		});
	},
	GatherND: (d) => {
		const batch = d.int(0, 1);
		const shape = d.shape(1 + batch, 3 + batch);
		const depth = d.int(1, shape.length - batch);
		const below = Math.min(...shape.slice(batch, batch + depth));
		return d.b.op(
			"GatherND",
			[
				d.active(shape),
				d.indices([...shape.slice(0, batch), ...d.shape(0, 2), depth], below),
			],
			{ batch_dims: batch },
		);
	},
	ScatterElements: (d) => {
		const { shape, axis } = axed(d, 3);
		const attrs = { axis, ...reduction(d) };
		return d.b.op(
			"ScatterElements",
			[d.active(shape), permutation(d, shape, axis), d.active(shape)],
			attrs,
		);
	},
	ScatterND: (d) => {
		const shape = d.shape(1, 3);
		const rows = d.int(1, shape[0] as number);
		const indices = d.setting(
			Array.from({ length: rows }, (_, i) => i),
			[rows, 1],
		);
		return d.b.op(
			"ScatterND",
			[d.active(shape), indices, d.active([rows, ...shape.slice(1)])],
			reduction(d),
		);
	},
	TopK: (d) => {
		const { shape, axis, size } = axed(d);
		const [values] = d.b.ops(
			"TopK",
			[d.active(shape, { apart: true }), d.b.ints([d.int(1, size)])],
			2,
			{ axis, largest: d.int(0, 1), sorted: 1 },
		);
		return values as Value;
	},
	OneHot: (d) => {
		const shape = d.shape(1, 2);
		return d.b.op(
			"OneHot",
			[
				d.indices(shape, 3),
				d.scalarSetting(3),
				d.active([2], { fixed: "all" }),
			],
			{ axis: d.axis(shape.length + 1) },
		);
	},
};

ruleTests(test, CASES, indexing, { opsets: [[13, 18, 22]], runs: 25 });

/** Gradients of sum(y * weights) for the inputs, with a number of threads. */
async function backward(
	b: GraphBuilder,
	y: Value,
	feeds: Record<string, Tensor>,
	threads: number,
): Promise<number[][]> {
	const wrt = Object.keys(feeds).filter((n) => feeds[n]?.dtype === "float32");
	const { builder, gradients } = differentiate(b.graph, b.mul(y, y).name, wrt);
	builder.graph.outputs = [];
	for (const [name, g] of gradients) if (g) builder.output(g, `d.${name}`);
	const session = await ort.InferenceSession.create(
		encodeModel(builder.graph),
		{ intraOpNumThreads: threads, logSeverityLevel: 3 },
	);
	const out = await session.run(
		Object.fromEntries(
			session.inputNames.map((name) => {
				const { dtype, data, dims } = feeds[name] as Tensor;
				return [
					name,
					new ort.Tensor(dtype as "float32", data as Float32Array, dims),
				];
			}),
		),
	);
	await session.release();
	return wrt.map((name) => Array.from(out[`d.${name}`]?.data as Float32Array));
}

test("many duplicate indices: one thread and four agree, and with sums done here", async (t) => {
	const [rows, width, count] = [2000, 8, 30_000];
	const table = floats(
		Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i)),
		[rows, width],
	);
	// Half of all point at few rows.
	const index = Array.from({ length: count }, (_, i) =>
		i % 2 ? i % 7 : (i * 31) % rows,
	);
	const values = Array.from(table.data as Float32Array);
	const uses = new Array<number>(rows).fill(0);
	for (const r of index) uses[r] = (uses[r] ?? 0) + 1;
	const want = values.map((v, i) => 2 * v * (uses[Math.floor(i / width)] ?? 0));
	const forms: Record<
		string,
		[Tensor, (b: GraphBuilder, x: Value, i: Value) => Value]
	> = {
		Gather: [int64s(index), (b, x, i) => b.op("Gather", [x, i])],
		GatherND: [
			int64s(index, [count, 1]),
			(b, x, i) => b.op("GatherND", [x, i]),
		],
		GatherElements: [
			int64s(
				index.flatMap((r) => new Array(width).fill(r)),
				[count, width],
			),
			(b, x, i) => b.op("GatherElements", [x, i]),
		],
	};
	for (const [op, [indices, build]] of Object.entries(forms)) {
		const b = new GraphBuilder();
		const x = b.input("table", "float32", table.dims);
		const y = build(b, x, b.input("index", "int64", indices.dims));
		const feeds = { table, index: indices };
		const [single] = await backward(b, y, feeds, 1);
		const [many] = await backward(b, y, feeds, 4);
		t.deepEqual(single, many, op);
		const worst = Math.max(
			...want.map(
				(w, i) => Math.abs(w - (single?.[i] ?? 0)) / (1 + Math.abs(w)),
			),
		);
		t.true(worst < 1e-4, `${op} ${worst}`);
	}
});

test("a big sparse scatter: one thread and four agree", async (t) => {
	const n = 20_000;
	const x = floats(
		Float32Array.from({ length: n }, (_, i) => Math.cos(i)),
		[n],
	);
	const index = int64s(
		Array.from({ length: n / 2 }, (_, i) => (i * 7919) % n),
		[n / 2],
	);
	const updates = floats(
		Float32Array.from({ length: n / 2 }, (_, i) => Math.sin(i)),
		[n / 2],
	);
	const b = new GraphBuilder();
	const [v, i, u] = [
		b.input("x", "float32", [n]),
		b.input("i", "int64", [n / 2]),
		b.input("u", "float32", [n / 2]),
	];
	const wide = b.op("Unsqueeze", [i, b.ints([1])]);
	const y = b.op("ScatterND", [b.op("ScatterElements", [v, i, u]), wide, u]);
	const feeds = { x, i: index, u: updates };
	t.deepEqual(await backward(b, y, feeds, 1), await backward(b, y, feeds, 4));
});
