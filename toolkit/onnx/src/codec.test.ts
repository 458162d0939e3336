import test from "ava";
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import {
	type Attr,
	DATA_CLASS,
	type DType,
	decodeModel,
	emptyGraph,
	encodeModel,
	floats,
	freshDim,
	type Graph,
	GraphBuilder,
	type Node,
	type Tensor,
	type Value,
} from "./index.ts";

const dtype = fc.constantFrom(...(Object.keys(DATA_CLASS) as DType[]));
const dims = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });
const tensor: fc.Arbitrary<Tensor> = fc
	.tuple(dtype, dims)
	.chain(([type, shape]) => {
		const length =
			shape.reduce((a, b) => a * b, 1) * DATA_CLASS[type].BYTES_PER_ELEMENT;
		return fc
			.uint8Array({ minLength: length, maxLength: length })
			.map((bytes) => ({
				dtype: type,
				dims: shape,
				data: new DATA_CLASS[type](bytes.slice().buffer),
			}));
	});
const name = fc
	.string({ minLength: 1, unit: "grapheme" })
	.filter((s) => s !== "__proto__");
const single = fc.float({ noNaN: true });
const whole = fc.maxSafeInteger();
const { graph } = fc.letrec<{ graph: Graph; attr: Attr; node: Node }>(
	(tie) => ({
		attr: fc.oneof(
			{ maxDepth: 1 },
			fc.record({ kind: fc.constant("int" as const), value: whole }),
			fc.record({ kind: fc.constant("float" as const), value: single }),
			fc.record({ kind: fc.constant("string" as const), value: fc.string() }),
			fc.record({ kind: fc.constant("ints" as const), value: fc.array(whole) }),
			fc.record({
				kind: fc.constant("floats" as const),
				value: fc.array(single),
			}),
			fc.record({
				kind: fc.constant("strings" as const),
				value: fc.array(fc.string()),
			}),
			fc.record({ kind: fc.constant("tensor" as const), value: tensor }),
			fc.record({
				kind: fc.constant("graph" as const),
				// What belongs to the model stays with the outermost graph.
				value: tie("graph").map((g) => ({ ...g, opsets: {}, metadata: {} })),
			}),
		),
		node: fc.record({
			op: name,
			domain: fc.constantFrom("", "com.microsoft"),
			name: fc.string(),
			// Empty names stand for inputs left out; those at the end are dropped.
			inputs: fc.array(fc.constantFrom("", "a", "b")).map((l) => [...l, "x"]),
			outputs: fc.array(fc.string()),
			attrs: fc.dictionary(name, tie("attr")).map((d) => ({ ...d })),
		}),
		graph: fc.record({
			name: fc.string(),
			opsets: fc.constant({ "": 17, "com.microsoft": 1 }),
			inputs: fc.constant([]),
			outputs: fc.constant([]),
			nodes: fc.array(tie("node"), { maxLength: 3 }),
			initializers: fc
				.array(fc.tuple(name, tensor), { maxLength: 3 })
				.map((l) => new Map(l)),
			valueInfo: fc
				.array(
					fc.tuple(
						name,
						dtype,
						fc.option(
							fc.array(fc.oneof(fc.nat(9), fc.constantFrom("B", "T+2"))),
							{ nil: undefined },
						),
					),
					{ maxLength: 3 },
				)
				.map(
					(l) =>
						new Map(l.map(([n, type, shape]) => [n, { dtype: type, shape }])),
				),
			metadata: fc.dictionary(name, fc.string()).map((d) => ({ ...d })),
		}),
	}),
);

test("any graph comes back as it was written", (t) => {
	fc.assert(
		fc.property(graph, (g) => {
			t.deepEqual(decodeModel(encodeModel(g)), g);
		}),
		{ numRuns: 60 },
	);
});

const value = (shape: Value["shape"]): Value => ({
	name: "x",
	dtype: "float32",
	shape,
});
function withInput(input: Value): Graph {
	const g = emptyGraph("g");
	g.inputs.push(input);
	return decodeModel(encodeModel(g));
}

test("inputs keep their types: known sizes, symbols, unknown ranks", (t) => {
	for (const shape of [["B", 3, "T+4"], [], undefined])
		t.deepEqual(withInput(value(shape)).inputs, [value(shape)]);
});

test("a size that is not known comes back as one, under a name of its own", (t) => {
	t.deepEqual(withInput(value(["B", freshDim()])).inputs, [
		value(["B", "x.1"]),
	]);
});

test("the far ends of int64 survive a round trip through numbers", (t) => {
	const g = emptyGraph("g");
	const ends = { kind: "ints" as const, value: [2 ** 63, -(2 ** 63), 5] };
	g.nodes.push({
		op: "Slice",
		domain: "",
		name: "s",
		inputs: ["x"],
		outputs: ["y"],
		attrs: { ends },
	});
	t.deepEqual(decodeModel(encodeModel(g)).nodes[0]?.attrs.ends, ends);
});

test("the standard domain has one name", (t) => {
	const g = emptyGraph("g");
	g.opsets = { "ai.onnx": 17 };
	g.nodes.push({
		op: "Neg",
		domain: "ai.onnx",
		name: "",
		inputs: ["x"],
		outputs: ["y"],
		attrs: {},
	});
	const back = decodeModel(encodeModel(g));
	t.deepEqual(back.opsets, { "": 17 });
	t.is(back.nodes[0]?.domain, "");
});

test("ONNX Runtime reads what we write, and an input left out at the end does not crash it", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["B", 2]);
	const [y] = b.append({
		op: "LayerNormalization",
		domain: "",
		name: "n",
		inputs: [x.name, b.weight("g", floats([1, 2])).name, ""],
		outputs: ["y"],
		attrs: {},
	});
	b.output(y as Value);
	const session = await ort.InferenceSession.create(encodeModel(b.graph));
	const out = await session.run({
		x: new ort.Tensor("float32", Float32Array.of(3, 7), [1, 2]),
	});
	t.deepEqual(
		Array.from((out.y?.data ?? []) as Float32Array, Math.round),
		[-1, 2],
	);
	await session.release();
});

test("what is no model is refused", (t) => {
	for (const bytes of [
		new Uint8Array(0),
		Uint8Array.of(255, 255, 1),
		new TextEncoder().encode("RIFF....WAVE"),
	])
		t.throws(() => decodeModel(bytes), { code: "E_MODEL" });
});

test("a model cut short anywhere is read or refused, never anything else", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["B", 2]);
	b.output(b.matmul(x, b.weight("w", floats([1, 2, 3, 4], [2, 2]))), "y");
	const bytes = encodeModel(b.graph);
	for (let end = 0; end < bytes.length; end++)
		try {
			decodeModel(bytes.subarray(0, end));
		} catch (error) {
			t.like(error, { code: "E_MODEL" }, String(error));
		}
	t.pass();
});

test("a tensor whose bytes do not fit its shape is named", (t) => {
	for (const dims of [[3], [-1, -2], [2, 2]]) {
		const g = emptyGraph("g");
		g.initializers.set("w", { ...floats([1, 2]), dims });
		t.throws(() => decodeModel(encodeModel(g)), {
			code: "E_MODEL",
			message: /tensor w/,
		});
	}
	const g = emptyGraph("g");
	g.initializers.set("w", {
		dtype: "float32",
		dims: [1],
		data: new Uint8Array(3),
	});
	t.throws(() => decodeModel(encodeModel(g)), {
		code: "E_MODEL",
		message: /tensor w/,
	});
});
