import test from "ava";
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import {
	type AttrInput,
	checkTensorrt,
	type DType,
	emptyGraph,
	encodeModel,
	floats,
	type Graph,
	GraphBuilder,
	halveWeights,
	int64s,
	requireTensorrt,
	spellOutNorms,
	TENSORRT_VERSIONS,
	type TensorrtVersion,
	toTensorrt,
	type Value,
} from "../index.ts";

/** A graph of one operator over fresh inputs. */
function single(
	op: string,
	inputs: (b: GraphBuilder) => (Value | undefined)[],
	attrs: Record<string, AttrInput> = {},
	options: { opset?: number; domain?: string; outputs?: number } = {},
): Graph {
	const b = new GraphBuilder(emptyGraph("g", options.opset ?? 17));
	const made = inputs(b);
	const graph = b.graph;
	graph.nodes.push({
		op,
		domain: options.domain ?? "",
		name: "the-node",
		inputs: made.map((v) => v?.name ?? ""),
		outputs: Array.from({ length: options.outputs ?? 1 }, (_, i) => `y${i}`),
		attrs: Object.fromEntries(
			Object.entries(attrs).map(([name, value]) => [
				name,
				typeof value === "string"
					? { kind: "string" as const, value }
					: Array.isArray(value)
						? { kind: "ints" as const, value: value as number[] }
						: { kind: "int" as const, value: value as number },
			]),
		),
	});
	return graph;
}

const x =
	(dtype: DType = "float32", shape = [1, 2, 4, 4]) =>
	(b: GraphBuilder) => [b.input("x", dtype, shape)];

const refused: [string, Graph, Partial<Record<TensorrtVersion, RegExp>>][] = [
	["nowhere", single("STFT", x()), { "8.5": /no such/, "10": /no such/ }],
	[
		"another domain",
		single("Gelu", x(), {}, { domain: "com.microsoft" }),
		{ "8.5": /com\.microsoft/, "10": /com\.microsoft/ },
	],
	["only later", single("Mish", x(), {}, { opset: 17 }), { "8.5": /no such/ }],
	["its type", single("Sin", x("int32")), { "8.5": /int32/, "10": /int32/ }],
	["an integer sum", single("ReduceSum", x("int32")), { "8.5": /int32/ }],
	[
		"8.5 reads int64 as int32",
		single("Add", (b) => [...x("int64")(b), ...x("int64")(b)]),
		{},
	],
	["bfloat16", single("Exp", x("bfloat16")), { "8.5": /bfloat16/ }],
	[
		"cubic",
		single("Resize", x(), { mode: "cubic" }),
		{ "8.5": /cubic/, "10": /cubic/ },
	],
	[
		"axes by computation",
		single("Unsqueeze", (b) => [...x()(b), b.input("axes", "int64", [1])]),
		{ "8.5": /axes/, "10": /axes/ },
	],
	[
		"weights by computation",
		single("Conv", (b) => [...x()(b), b.input("w", "float32", [2, 2, 1, 1])]),
		{ "8.5": /weights/ },
	],
	[
		"one-dimensional pooling",
		single("MaxPool", x("float32", [1, 2, 4]), { kernel_shape: [2] }),
		{ "8.5": /dimensions/, "10": /dimensions/ },
	],
	[
		"a mean that is asked for",
		single(
			"LayerNormalization",
			(b) => [...x()(b), b.constant(floats([1, 1, 1, 1]))],
			{ axis: -1 },
			{ outputs: 2 },
		),
		{ "8.5": /first output/, "10": /first output/ },
	],
	[
		"noise inside",
		single("RandomNormalLike", x()),
		{ "8.5": /seed/, "10": /seed/ },
	],
	[
		"wide integers",
		single("Add", (b) => [
			b.input("x", "int64", [1]),
			b.constant(int64s([2 ** 40])),
		]),
		{ "8.5": /32 bits/ },
	],
	[
		"a late opset",
		single("Relu", x(), {}, { opset: 19 }),
		{ "8.5": /opset 19/ },
	],
	[
		"a later opset",
		single("Relu", x(), {}, { opset: 21 }),
		{ "8.5": /opset 21/, "10": /opset 21/ },
	],
];

for (const [what, graph, wanted] of refused)
	test(`the checker: ${what}`, (t) => {
		for (const version of TENSORRT_VERSIONS) {
			const found = checkTensorrt(graph, version);
			const want = wanted[version];
			if (!want) t.deepEqual(found, [], version);
			else t.regex(found.map((f) => `${f.node}: ${f.why}`).join("\n"), want);
		}
	});

test("the body of a loop is looked into", (t) => {
	const body = single("STFT", x());
	const graph = single("Identity", x());
	graph.nodes[0] = {
		...(graph.nodes[0] as Graph["nodes"][0]),
		op: "Scan",
		attrs: { body: { kind: "graph", value: body } },
	};
	t.deepEqual(
		checkTensorrt(graph, "10").map((f) => f.op),
		["STFT"],
	);
});

test("a refusal names version, operator, node, graph and reason", (t) => {
	t.throws(() => requireTensorrt(single("STFT", x())), {
		code: "E_TENSORRT_OP",
		message:
			'TensorRT 8.5 does not take STFT "the-node" of graph g: it has no such operator',
	});
	t.notThrows(() => requireTensorrt(single("Relu", x())));
});

/** LayerNormalization over the axes from `axis`, then a product with a large enough weight to be halved. */
function normed(shape: number[], axis: number, opset: number, bias: boolean) {
	const b = new GraphBuilder(emptyGraph("normed", opset));
	const input = b.input("x", "float32", shape);
	const tail = shape.slice(axis);
	const size = tail.reduce((n, d) => n * d, 1);
	const ramp = (from: number) =>
		floats(
			Array.from({ length: size }, (_, i) => from + i / size),
			tail,
		);
	const y = b.op(
		"LayerNormalization",
		[
			input,
			b.weight("scale", ramp(0.5)),
			bias ? b.weight("bias", ramp(-1)) : undefined,
		],
		{ axis, epsilon: 1e-5 },
	);
	b.output(y, "y");
	return b.graph;
}

async function run(graph: Graph, feeds: Record<string, ort.Tensor>) {
	const session = await ort.InferenceSession.create(encodeModel(graph));
	const out = await session.run(feeds);
	await session.release();
	return out.y?.data as Float32Array;
}

test("a normalisation spelled out computes what it did, over any axes", async (t) => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
			fc.integer({ min: -4, max: 3 }),
			fc.constantFrom(17, 18),
			fc.boolean(),
			fc.infiniteStream(fc.float({ min: -8, max: 8, noNaN: true })),
			async (shape, draw, opset, bias, values) => {
				const rank = shape.length;
				const axis =
					draw < 0 ? Math.max(draw, -rank) : Math.min(draw, rank - 1);
				const graph = normed(shape, axis, opset, bias);
				const plain = spellOutNorms(graph);
				t.false(plain.nodes.some((n) => n.op === "LayerNormalization"));
				t.deepEqual(
					[plain.outputs, plain.inputs],
					[graph.outputs, graph.inputs],
				);
				const size = shape.reduce((n, d) => n * d, 1);
				const data = Float32Array.from(
					{ length: size },
					() => values.next().value as number,
				);
				const feeds = { x: new ort.Tensor("float32", data, shape) };
				const [a, b] = [await run(graph, feeds), await run(plain, feeds)];
				// Rows that are almost constant are divided by almost nothing.
				for (const [i, want] of a.entries())
					t.true(
						Math.abs(want - (b[i] ?? Number.NaN)) < 2e-3,
						`${want} ${b[i]}`,
					);
			},
		),
		{ numRuns: 15 },
	);
});

test("TensorRT gets weights under their own names, 8.5 without LayerNormalization", (t) => {
	const graph = normed([2, 128], -1, 17, true);
	for (const version of TENSORRT_VERSIONS) {
		const given = toTensorrt(halveWeights(graph), version);
		t.is(given.initializers.get("scale")?.dtype, "float32");
		t.is(
			given.nodes.some((n) => n.op === "LayerNormalization"),
			version === "10",
		);
		t.false(given.nodes.some((n) => n.op === "Cast"));
		t.deepEqual(checkTensorrt(given, version), []);
	}
	t.deepEqual(
		checkTensorrt(graph, "8.5").map((f) => f.op),
		["LayerNormalization"],
	);
});
