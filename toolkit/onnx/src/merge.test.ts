import test from "ava";
import fc from "fast-check";
import {
	castFloat,
	emptyGraph,
	floats,
	loraKey,
	mergeLora,
	savedKey,
	type Tensor,
	weightChanges,
} from "./index.ts";

const matrix = (rows: number, cols: number) =>
	fc
		.array(fc.double({ min: -2, max: 2, noNaN: true }), {
			minLength: rows * cols,
			maxLength: rows * cols,
		})
		.map((list) => floats(list, [rows, cols]));
const at = (m: Tensor, i: number, j: number) =>
	Number(m.data[i * (m.dims[1] ?? 0) + j]);

function adapter(name: string, a: Tensor, b: Tensor): Map<string, Tensor> {
	return new Map([
		[loraKey(name, "A"), a],
		[loraKey(name, "B"), b],
	]);
}
function graphOf(weights: Record<string, Tensor>) {
	const graph = emptyGraph("g");
	for (const [name, w] of Object.entries(weights))
		graph.initializers.set(name, w);
	return graph;
}

test("the merged weight is W + s (B A)^T", (t) => {
	const size = fc.integer({ min: 1, max: 5 });
	fc.assert(
		fc.property(
			fc
				.tuple(size, size, size)
				.chain(([r, rows, cols]) =>
					fc.tuple(matrix(rows, cols), matrix(r, rows), matrix(cols, r)),
				),
			fc.double({ min: -2, max: 2, noNaN: true }),
			([w, a, b], scale) => {
				const graph = graphOf({ "text.q.w": w });
				const before = floats((w.data as Float32Array).slice(), w.dims);
				const merged = mergeLora(graph, adapter("text.q.w", a, b), scale);
				t.deepEqual(merged.merged, ["text.q.w"]);
				const got = merged.graph.initializers.get("text.q.w") as Tensor;
				const [rows = 0, cols = 0] = w.dims;
				for (let i = 0; i < rows; i++)
					for (let j = 0; j < cols; j++) {
						let want = at(w, i, j);
						for (let k = 0; k < (a.dims[0] ?? 0); k++)
							want += scale * at(b, j, k) * at(a, k, i);
						t.true(Math.abs(at(got, i, j) - want) < 1e-5);
					}
				t.deepEqual(graph.initializers.get("text.q.w"), before);
			},
		),
	);
});

const a = floats([1, 2], [1, 2]);
const b = floats([3, 4, 5], [3, 1]);
const w = floats([0, 0, 0, 0, 0, 0], [2, 3]);
const product = floats([3, 4, 5, 6, 8, 10], [2, 3]);

test("halves in 16 bits are read as what they are", (t) => {
	for (const dtype of ["float16", "bfloat16"] as const) {
		const half = adapter("w", castFloat(a, dtype), castFloat(b, dtype));
		const { graph } = mergeLora(
			graphOf({ w: castFloat(w, "float16") }),
			half,
			1,
		);
		t.deepEqual(graph.initializers.get("w"), product);
	}
});

test("weights that the graph does not hold are left out, and other keys too", (t) => {
	const tensors = new Map([
		...adapter("w", a, b),
		...adapter("elsewhere", a, b),
		["base_model.model.w.bias", a],
	]);
	const { merged } = mergeLora(graphOf({ w }), tensors, 1);
	t.deepEqual(merged, ["w"]);
	t.deepEqual([...weightChanges(tensors).keys()], ["w", "elsewhere"]);
});

test("half a pair, and a pair that does not fit, are named", (t) => {
	for (const half of ["A", "B"] as const)
		t.throws(() => weightChanges(new Map([[loraKey("w", half), a]])), {
			code: "E_FILE_FORMAT",
			message: half === "A" ? /lora_B of w/ : /lora_A of w/,
		});
	const misfits: [Tensor, Tensor, Tensor][] = [
		[w, floats([1, 2, 3], [1, 3]), b],
		[w, a, floats([1, 2], [2, 1])],
		[w, a, floats([1, 2, 3, 4, 5, 6], [3, 2])],
		[floats([1, 2]), a, b],
		[floats([1, 2, 3, 4, 5, 6], [1, 2, 3]), a, b],
	];
	for (const [weight, x, y] of misfits)
		t.throws(() => mergeLora(graphOf({ w: weight }), adapter("w", x, y), 1), {
			code: "E_MODEL",
			message: /adapter of w/,
		});
});

test("a pair whose scalars are not floats is refused", (t) => {
	const whole: Tensor = {
		dtype: "int32",
		dims: [1, 2],
		data: Int32Array.of(1, 2),
	};
	t.throws(() => weightChanges(adapter("w", whole, b)), {
		code: "E_FILE_FORMAT",
	});
});

test("a weight that the adapter brings whole takes the place of the graph's", (t) => {
	const whole = floats([6, 5, 4, 3, 2, 1], [2, 3]);
	const tensors = new Map([
		...adapter("w", a, b),
		[savedKey("v"), castFloat(whole, "float16")],
	]);
	const { graph, merged } = mergeLora(graphOf({ v: w, w }), tensors, 1);
	t.deepEqual(merged, ["w", "v"]);
	t.deepEqual(graph.initializers.get("v"), whole);
	t.deepEqual(graph.initializers.get("w"), product);
	t.throws(() => mergeLora(graphOf({ v: a }), tensors, 1), {
		code: "E_MODEL",
		message: /adapter's v is \[2,3\]; the weight is \[1,2\]/,
	});
	t.throws(() => weightChanges(tensors.set(savedKey("w"), whole)), {
		code: "E_FILE_FORMAT",
		message: /both adds to w and replaces it/,
	});
	t.throws(
		() =>
			weightChanges(
				new Map([
					[
						savedKey("v"),
						{ dtype: "int32", dims: [1], data: Int32Array.of(1) },
					],
				]),
			),
		{ code: "E_FILE_FORMAT", message: /integers for v/ },
	);
});
