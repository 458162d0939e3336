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
import { checkGradients, differentiate, RULES } from "./index.ts";
import { FAMILIES } from "./rules.ts";
import { gradientsAt } from "./testing.ts";

type Feeds = Record<string, Tensor>;

/** Gradients of what `build` makes with respect to the inputs named in `feeds` that are floats. */
async function gradients(
	feeds: Feeds,
	build: (b: GraphBuilder, inputs: Record<string, Value>) => Value,
): Promise<(number[] | undefined)[]> {
	const b = new GraphBuilder();
	const inputs = Object.fromEntries(
		Object.entries(feeds).map(([name, t]) => [
			name,
			b.input(name, t.dtype, t.dims),
		]),
	);
	const y = build(b, inputs);
	const wrt = Object.keys(feeds).filter((n) => feeds[n]?.dtype === "float32");
	return gradientsAt(b.graph, y.name, wrt, feeds);
}

test("the rule files make up the whole table, and none hides another's rule", (t) => {
	const keys = Object.values(FAMILIES).flatMap((r) => Object.keys(r));
	t.deepEqual(keys.sort(), Object.keys(RULES).sort());
});

test("ties of Max and Min share the cotangent", async (t) => {
	const [a, c] = [floats([1, 2, 3]), floats([1, 1, 5])];
	for (const [op, ga, gc] of [
		["Max", [0.5, 1, 0], [0.5, 0, 1]],
		["Min", [0.5, 0, 1], [0.5, 1, 0]],
	] as const)
		t.deepEqual(await gradients({ a, c }, (b, v) => b.op(op, [v.a, v.c])), [
			[...ga],
			[...gc],
		]);
	const three = await gradients(
		{ a: floats([1, 7]), c: floats([1, 7]), e: floats([1, 0]) },
		(b, v) => b.op("Max", [v.a, v.c, v.e]),
	);
	const third = Math.fround(1 / 3);
	t.deepEqual(three, [
		[third, 0.5],
		[third, 0.5],
		[third, 0],
	]);
});

test("ties of ReduceMax and ReduceMin share the cotangent within each group", async (t) => {
	const x = floats([1, 3, 3, 2, 2, 2], [2, 3]);
	const reduced = (op: string, attrs: { axes?: number[]; keepdims: number }) =>
		gradients({ x }, (b, v) => b.op(op, [v.x], attrs));
	const third = Math.fround(1 / 3);
	for (const keepdims of [0, 1]) {
		t.deepEqual(await reduced("ReduceMax", { axes: [1], keepdims }), [
			[0, 0.5, 0.5, third, third, third],
		]);
		t.deepEqual(await reduced("ReduceMin", { axes: [-1], keepdims }), [
			[1, 0, 0, third, third, third],
		]);
		t.deepEqual(await reduced("ReduceMax", { keepdims }), [
			[0, 0.5, 0.5, 0, 0, 0],
		]);
	}
});

test("Gather: duplicate rows add up, rows from the back are the same rows", async (t) => {
	const table = floats([1, 2, 3, 4, 5, 6], [3, 2]);
	const rows = int64s([0, 2, 0, -1, 0], [5]);
	t.deepEqual(
		await gradients({ table, rows }, (b, v) =>
			b.op("Gather", [v.table, v.rows]),
		),
		[[3, 3, 0, 0, 2, 2]],
	);
});

test("a value that is used several times collects every cotangent", async (t) => {
	const x = floats([1, 2, 3]);
	t.deepEqual(
		await gradients({ x }, (b, { x }) => {
			const v = x as Value;
			// x^2 + x + (x^2) x
			const square = b.mul(v, v);
			return b.add(b.add(square, v), b.mul(square, v));
		}),
		[[1, 2, 3].map((e) => 2 * e + 1 + 3 * e * e)],
	);
});

test("what the value does not depend on has no gradient", async (t) => {
	const feeds = { x: floats([2]), other: floats([3]) };
	t.deepEqual(await gradients(feeds, (b, v) => b.op("Neg", [v.x])), [
		[-1],
		undefined,
	]);
});

test("steps pass no gradient: Floor, comparisons, casts to integers", async (t) => {
	const x = floats([1.5, 2.5]);
	t.deepEqual(
		await gradients({ x }, (b, { x }) => b.mul(b.op("Floor", [x]), x as Value)),
		[[1, 2]],
	);
	// The row numbers come from x, through a form of Gather that has no rule: it needs none.
	t.deepEqual(
		await gradients({ x }, (b, { x }) => {
			const rows = b.cast(x as Value, "int64");
			const table = b.constant(
				floats(
					Array.from({ length: 12 }, (_, i) => i),
					[1, 3, 4],
				),
			);
			const rest = b.op("Gather", [table, rows], { axis: 1 });
			return b.add(b.sum(rest), b.sum(x as Value));
		}),
		[[1, 1]],
	);
});

test("Dropout in training has the mask of its own run in its gradient", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [200]);
	const training = b.input("training", "bool", []);
	const y = b.op("Dropout", [x, b.scalar(0.75), training]);
	const { builder, gradients: found } = differentiate(b.graph, y.name, ["x"]);
	builder.graph.outputs = [];
	builder.output(y, "y");
	builder.output(found.get("x") as Value, "g");
	const session = await ort.InferenceSession.create(
		encodeModel(builder.graph),
		{ intraOpNumThreads: 1, logSeverityLevel: 3 },
	);
	for (const on of [1, 0]) {
		const out = await session.run({
			x: new ort.Tensor("float32", new Float32Array(200).fill(2), [200]),
			training: new ort.Tensor("bool", [on], []),
		});
		const [ys, gs] = [out.y, out.g].map((v) => v?.data as Float32Array);
		t.deepEqual(
			gs,
			ys?.map((v) => v / 2),
		);
		t.deepEqual([...new Set(gs)].sort(), on ? [0, 4] : [1]);
	}
	await session.release();
});

test("bounds of Clip that cross: all is the upper one", async (t) => {
	const feeds = {
		x: floats([0, 2, 5]),
		lo: { ...floats([3]), dims: [] },
		hi: { ...floats([1]), dims: [] },
	};
	t.deepEqual(
		await gradients(feeds, (b, v) => b.op("Clip", [v.x, v.lo, v.hi])),
		[[0, 0, 0], [0], [3]],
	);
});

test("Pow at zero stays finite", async (t) => {
	const x = floats([0, 0, 2]);
	const p = floats([0, 2, 3]);
	t.deepEqual(await gradients({ x, p }, (b, v) => b.op("Pow", [v.x, v.p])), [
		[0, 0, 12],
		[0, 0, Math.fround(8 * Math.fround(Math.log(2)))],
	]);
	for (const [k, g] of [
		[0, undefined],
		[1, [1, 1, 1]],
		[2, [0, 0, 4]],
	] as const)
		t.deepEqual(
			await gradients({ x }, (b, v) => b.op("Pow", [v.x, b.scalar(k)])),
			[g && [...g]],
		);
});

test("symbols of unknown kin are summed by what they are when the graph runs", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["A", "C"]);
	const y = b.input("y", "float32", ["D"]);
	const z = b.op("Mul", [x, y]);
	for (const [a, c, d] of [
		[2, 3, 3],
		[2, 1, 3],
		[2, 3, 1],
		[1, 1, 1],
	] as const) {
		const random = (n: number) => Array.from({ length: n }, (_, i) => 0.5 + i);
		const { failures } = await checkGradients(b.graph, {
			of: z.name,
			wrt: ["x", "y"],
			feeds: { x: floats(random(a * c), [a, c]), y: floats(random(d), [d]) },
		});
		t.deepEqual(failures, []);
	}
});

test("values whose rank only the run tells are summed as well", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["A"]);
	const y = b.input("y", "float32", [2, 3]);
	const shape = b.input("shape", "int64", ["R"]);
	const z = b.sum(b.mul(b.op("Reshape", [x, shape]), y));
	for (const dims of [[2, 3], [3], [1, 3], [2, 1]]) {
		const size = dims.reduce((p, q) => p * q, 1);
		const { failures } = await checkGradients(b.graph, {
			of: z.name,
			wrt: ["x", "y"],
			feeds: {
				x: floats(Array.from({ length: size }, (_, i) => i + 1)),
				y: floats([1, 2, 3, 4, 5, 6], [2, 3]),
				shape: int64s(dims),
			},
		});
		t.deepEqual(failures, []);
	}
});

test("one graph serves every batch size", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["B", "T", 2]);
	const w = b.weight("w", floats([0.5, -1, 2, 0.25, 1, -0.5], [2, 3]));
	const h = b.op("LayerNormalization", [
		b.matmul(b.slice(b.pad(x, 1, 1, 1), 1, 2), w),
		b.weight("g", floats([1, 2, 3])),
	]);
	const y = b.mean(b.op("Softmax", [h], { axis: 1 }), [1]);
	for (const [batch, time] of [
		[1, 4],
		[3, 2],
		[2, 5],
	] as const) {
		const size = batch * time * 2;
		const { failures, comparisons } = await checkGradients(b.graph, {
			of: y.name,
			wrt: ["x", "w", "g"],
			feeds: {
				x: floats(
					Array.from({ length: size }, (_, i) => Math.sin(i + 1)),
					[batch, time, 2],
				),
			},
		});
		t.is(comparisons, 2 + size + 9);
		t.deepEqual(failures, []);
	}
});

test("the given graph is left as it was", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2, 3]);
	const g = b.op("Constant", [], {
		value: { kind: "tensor", value: floats([1, 2, 3]) },
	});
	const y = b.op("LayerNormalization", [x, g]);
	b.output(y);
	const before = structuredClone(b.graph);
	const { builder } = differentiate(b.graph, y.name, ["x"]);
	t.deepEqual(structuredClone(b.graph), before);
	t.true(builder.graph.nodes.length > before.nodes.length);
});

test("the check finds a gradient that is wrong, and one of a wrong size of order", async (t) => {
	// Rounded to thousandths: differences see the slope 1, the rule of a step says 0.
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2]);
	const step = b.affine(b.op("Floor", [b.affine(x, 1000)]), 1 / 1000);
	const bent = b.add(b.mul(x, x), step);
	const feeds = { x: floats([0.5, 1.5]) };
	const wrong = await checkGradients(b.graph, {
		of: bent.name,
		wrt: ["x"],
		feeds,
	});
	t.is(wrong.comparisons, 4);
	t.is(wrong.failures.length, 4);
	t.true(wrong.worst.error > 0.1);
	const right = await checkGradients(b.graph, {
		of: b.mul(x, x).name,
		wrt: ["x"],
		feeds,
	});
	t.deepEqual(right.failures, []);
	t.true(right.worst.error < 1e-4, String(right.worst.error));
});

test("nothing runs on the way back that no gradient reads", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2, 3, 4]);
	const constants = [1, 2, 3, 4].map((i) =>
		b.weight(`c${i}`, floats([i, 1, 2])),
	);
	const y = b.op("BatchNormalization", [x, ...constants]);
	const forward = b.graph.nodes.length;
	const { builder, gradients } = differentiate(b.graph, y.name, ["x"]);
	const back = builder.graph.nodes.slice(forward);
	const read = new Set(builder.graph.nodes.flatMap((n) => n.inputs));
	for (const g of gradients.values()) if (g) read.add(g.name);
	t.true(back.length > 0);
	t.deepEqual(
		back.filter((n) => !n.outputs.some((o) => read.has(o))),
		[],
	);
});
