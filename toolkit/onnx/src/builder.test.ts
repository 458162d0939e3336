import test from "ava";
import {
	emptyGraph,
	floats,
	GraphBuilder,
	inferTypes,
	type Value,
} from "./index.ts";

test("scopes stand in front of names, and end with their body even when it throws", (t) => {
	const b = new GraphBuilder();
	b.scope("text", () => {
		t.is(b.weight("w", floats([1])).name, "text.w");
		b.scope("q", () => t.is(b.weight("w", floats([1])).name, "text.q.w"));
		t.throws(() =>
			b.scope("k", () => {
				throw new Error("no");
			}),
		);
		t.is(b.weight("b", floats([1])).name, "text.b");
	});
	t.is(b.weight("w", floats([1])).name, "w");
});

test("equal small constants are one; zero and minus zero, and types, are not", (t) => {
	const b = new GraphBuilder();
	t.is(b.scalar(2).name, b.scalar(2).name);
	t.is(b.ints([1, 2]).name, b.ints([1, 2]).name);
	t.not(b.scalar(2).name, b.constant(floats([2])).name);
	t.not(b.scalar(0).name, b.scalar(-0).name);
	t.not(b.scalar(Number.NaN).name, b.scalar(0).name);
	const large = () => b.constant(floats(new Float32Array(100)));
	t.not(large().name, large().name);
});

test("every value of an operation carries its own name", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["T"]);
	for (const op of ["Neg", "Identity", "Softmax"]) {
		const y = b.op(op, [x]);
		t.not(y.name, "x");
		t.is(b.graph.nodes.at(-1)?.outputs[0], y.name);
		t.deepEqual(b.value(y.name), {
			name: y.name,
			dtype: "float32",
			shape: ["T"],
		});
	}
});

test("an output under another name is that name's value", (t) => {
	const b = new GraphBuilder();
	const y = b.op("Neg", [b.input("x", "float32", [2])]);
	t.deepEqual(b.output(y, "loss"), { ...y, name: "loss" });
	b.output(y);
	t.deepEqual(
		b.graph.outputs.map((v) => v.name),
		["loss", y.name],
	);
	t.deepEqual(inferTypes(b.graph).get("loss"), {
		dtype: "float32",
		shape: [2],
	});
});

test("names are taken once, and unknown ones are refused", (t) => {
	const b = new GraphBuilder();
	b.weight("w", floats([1]));
	t.throws(() => b.weight("w", floats([2])), {
		code: "E_BUG",
		message: /w is taken/,
	});
	t.throws(() => b.value("ghost"), { code: "E_MODEL", message: /ghost/ });
	const x = b.input("x", "float32", [1]);
	t.throws(() => b.op("Teleport", [x]), {
		code: "E_MODEL",
		message: /Teleport/,
	});
	t.throws(() => b.op("Cast", [x], { to: 99 }), {
		code: "E_MODEL",
		message: /Cast/,
	});
});

test("a builder goes on where a graph stands, with names of its own", (t) => {
	const first = new GraphBuilder();
	const y = first.op("Neg", [first.input("x", "float32", [2])]);
	const second = new GraphBuilder(first.graph, inferTypes(first.graph));
	const z = second.op("Neg", [second.value(y.name)]);
	t.not(z.name, y.name);
	t.is(first.graph.nodes.length, 2);
	t.deepEqual(inferTypes(first.graph).get(z.name)?.shape, [2]);
});

test("more outputs of a node are named where they were left out", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2, 3]);
	b.append({
		op: "LayerNormalization",
		domain: "",
		name: "n",
		inputs: [x.name, b.weight("g", floats([1, 1, 1])).name],
		outputs: ["y", ""],
		attrs: {},
	});
	const node = b.graph.nodes[0];
	if (!node) throw new Error("no node");
	const all = b.extend(node, 3);
	t.deepEqual(
		all.map((v) => v.shape),
		[
			[2, 3],
			[2, 1],
			[2, 1],
		],
	);
	t.is(new Set(all.map((v) => v.name)).size, 3);
	t.false(all.some((v) => v.name === ""));
	t.throws(() => b.extend(node, 4), { code: "E_MODEL" });
});

test("means take their axes where the opset has them", (t) => {
	for (const [opset, inputs] of [
		[17, 1],
		[18, 2],
	] as const) {
		const b = new GraphBuilder(emptyGraph("g", opset));
		const y: Value = b.mean(b.input("x", "float32", [2, 3]), [1], 1);
		t.deepEqual(y.shape, [2, 1]);
		t.is(b.graph.nodes[0]?.inputs.length, inputs);
	}
});
