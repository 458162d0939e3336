import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	int64s,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import test from "ava";
import { differentiate } from "./differentiate.ts";
import { gradientsOf } from "./gradients-of.ts";

const numbers = (dims: number[], k: number): Tensor =>
	floats(
		Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) =>
			Math.sin(k * (i + 1)),
		),
		dims,
	);
const flag = (): Tensor => ({
	dtype: "bool",
	dims: [],
	data: Uint8Array.of(1),
});
const body = (value: Graph) => ({ kind: "graph" as const, value });

/** h = tanh(x_i + h w) over the rows of x, each h given out too: as torch.jit.script exports a loop. */
function loop(trips: "fixed" | "fed", on: "stays" | "stops" = "stays"): Graph {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [4, 2]);
	const w = b.input("w", "float32", [2, 2]);
	const count =
		trips === "fed"
			? b.input("count", "int64", [])
			: b.reshape(b.slice(b.op("Shape", [x]), 0, 0, 1), []);
	const g = emptyGraph("step");
	const s = new GraphBuilder(g);
	const i = s.input("i", "int64", []);
	const go = s.input("go", "bool", []);
	const h = s.input("h", "float32", [1, 2]);
	for (const v of [x, w]) s.assume(v, v.shape ?? []);
	const row = s.op("Unsqueeze", [s.op("Gather", [x, i]), s.ints([0])]);
	const next = s.op("Tanh", [s.add(row, s.matmul(h, w))]);
	const more =
		on === "stays" ? go : s.op("Less", [s.sum(next, [], 0), s.scalar(9)]);
	g.outputs = [
		s.output(more, "more"),
		s.output(next, "next"),
		s.output(s.mul(next, next), "seen"),
	];
	const start = b.constant(floats([0, 0], [1, 2]));
	const shapes: [string, number[]][] = [
		["last", [1, 2]],
		["all", [4, 1, 2]],
	];
	for (const [name, shape] of shapes)
		b.assume({ name, dtype: "float32", shape }, shape);
	b.append({
		op: "Loop",
		domain: "",
		name: "steps",
		inputs: [count.name, b.constant(flag()).name, start.name],
		outputs: ["last", "all"],
		attrs: { body: body(g) },
	});
	total(b, [b.value("last"), b.value("all")]);
	return b.graph;
}

/** A weighted sum of all elements as the output y. */
function total(b: GraphBuilder, values: Value[]): void {
	const sums = values.map((v) => {
		const dims = (v.shape ?? []) as number[];
		return b.sum(b.mul(v, b.constant(numbers(dims, 1.7))));
	});
	b.output(b.op("Sum", sums), "y");
}

const FEEDS = { x: numbers([4, 2], 0.7), w: numbers([2, 2], 1.3) };

/** Central differences of y, by the same graph run at moved points. */
async function differences(graph: Graph, feeds: Record<string, Tensor>) {
	const out: Record<string, number[]> = {};
	for (const name of ["x", "w"]) {
		const t = feeds[name] as Tensor;
		const list: number[] = [];
		for (let i = 0; i < t.data.length; i++) {
			const at = async (by: number) => {
				const data = Float32Array.from(t.data as Float32Array);
				data[i] = (data[i] ?? 0) + by;
				const moved = { ...feeds, [name]: { ...t, data } };
				const asked = { of: "y", wrt: [name], feeds: moved };
				return (await gradientsOf(graph, asked)).value;
			};
			list.push(((await at(1e-2)) - (await at(-1e-2))) / 2e-2);
		}
		out[name] = list;
	}
	return out;
}

test.serial("a loop over a known number of steps is written out", async (t) => {
	const graph = loop("fixed");
	const asked = { of: "y", wrt: ["x", "w"], feeds: FEEDS };
	const { value, gradients } = await gradientsOf(graph, asked);
	// The same by hand.
	let [h, y] = [[0, 0], 0];
	const { x, w } = FEEDS;
	const weight = (i: number) => Math.sin(1.7 * (i + 1));
	for (let i = 0; i < 4; i++) {
		const at = (t: Tensor, k: number) => Number(t.data[k]);
		const [p = 0, q = 0] = h;
		h = [0, 1].map((j) =>
			Math.tanh(at(x, 2 * i + j) + p * at(w, j) + q * at(w, 2 + j)),
		);
		h.forEach((v, j) => {
			y += weight(2 * i + j) * v * v;
		});
	}
	h.forEach((v, j) => {
		y += weight(j) * v;
	});
	t.true(Math.abs(value - y) < 1e-5, `${value} ${y}`);
	const numeric = await differences(graph, FEEDS);
	for (const [name, g] of gradients)
		g.data.forEach((v, i) => {
			const wanted = numeric[name]?.[i] ?? Number.NaN;
			t.true(Math.abs(Number(v) - wanted) < 2e-3, `${name} ${v} ${wanted}`);
		});
});

test.serial("the number of steps may be fed", async (t) => {
	const asked = { of: "y", wrt: ["x", "w"] };
	const fixed = await gradientsOf(loop("fixed"), { ...asked, feeds: FEEDS });
	const count = int64s([4], []);
	const fed = await gradientsOf(loop("fed"), {
		...asked,
		feeds: { ...FEEDS, count },
	});
	t.deepEqual(fed.gradients, fixed.gradients);
});

test("a loop is refused by name where nobody knows how often it runs", (t) => {
	for (const graph of [loop("fed"), loop("fixed", "stops")])
		t.throws(() => differentiate(graph, "y", ["w"]), {
			code: "E_OP_UNSUPPORTED",
			message: /Loop \(node steps, opset 17\): how many steps/,
		} as never);
});

test.serial(
	"a Scan reads and gives out along any axis, either way",
	async (t) => {
		// A running sum of columns from the last to the first, by Scan and by CumSum.
		const b = new GraphBuilder();
		const x = b.input("x", "float32", [2, 3]);
		const w = b.input("w", "float32", [2]);
		const g = emptyGraph("step");
		const s = new GraphBuilder(g);
		const sum = s.input("sum", "float32", [2]);
		const column = s.input("column", "float32", [2]);
		const next = s.add(sum, column);
		g.outputs = [s.output(next, "next"), s.output(s.mul(next, sum), "seen")];
		b.assume({ name: "end", dtype: "float32", shape: [2] }, [2]);
		b.assume({ name: "rows", dtype: "float32", shape: [2, 3] }, [2, 3]);
		const list = (value: number) => ({ kind: "ints" as const, value: [value] });
		b.append({
			op: "Scan",
			domain: "",
			name: "scan",
			inputs: [w.name, x.name],
			outputs: ["end", "rows"],
			attrs: {
				body: body(g),
				num_scan_inputs: { kind: "int", value: 1 },
				scan_input_axes: list(-1),
				scan_input_directions: list(1),
				scan_output_axes: list(1),
				scan_output_directions: list(1),
			},
		});
		total(b, [b.value("end"), b.value("rows")]);

		const c = new GraphBuilder();
		const [cx, cw] = [
			c.input("x", "float32", [2, 3]),
			c.input("w", "float32", [2]),
		];
		const axis = c.constant(int64s([1], []));
		const start = c.op("Unsqueeze", [cw, c.ints([1])]);
		const after = c.add(c.op("CumSum", [cx, axis], { reverse: 1 }), start);
		const end = c.reshape(c.slice(after, 1, 0, 1), [2]);
		total(c, [end, c.mul(after, c.sub(after, cx))]);

		const feeds = { x: numbers([2, 3], 0.7), w: numbers([2], 1.1) };
		const asked = { of: "y", wrt: ["x", "w"], feeds };
		const mine = await gradientsOf(b.graph, asked);
		const other = await gradientsOf(c.graph, asked);
		t.true(Math.abs(mine.value - other.value) < 1e-5);
		for (const [name, g] of mine.gradients)
			g.data.forEach((v, i) => {
				const wanted = Number(other.gradients.get(name)?.data[i]);
				t.true(Math.abs(Number(v) - wanted) < 1e-5, `${name} ${v} ${wanted}`);
			});
	},
);

/** y = last of x's pairs of rows, times w: as torch exports `x.split(2)[-1] * w`. */
function split(rows: number | string): Graph {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [rows, 2]);
	const w = b.input("w", "float32", [2]);
	const scalar = (n: bigint) =>
		b.constant({ dtype: "int64", dims: [], data: BigInt64Array.of(n) });
	const [two, last] = [scalar(2n), scalar(-1n)];
	const made = (op: string, inputs: string[], out: string) =>
		b.graph.nodes.push({
			op,
			domain: "",
			name: out,
			inputs,
			outputs: [out],
			attrs: {},
		});
	made("SplitToSequence", [x.name, two.name], "parts");
	made("SequenceAt", ["parts", last.name], "part");
	made("Mul", ["part", w.name], "y");
	b.graph.outputs.push({ name: "y", dtype: "float32", shape: ["n", 2] });
	return b.graph;
}

test("gradients through a sequence whose parts are known", async (t) => {
	const feeds = { x: numbers([5, 2], 1), w: numbers([2], 2) };
	const [x, w] = [feeds.x.data as Float32Array, feeds.w.data as Float32Array];
	for (const rows of [5, "rows"]) {
		const found = await gradientsOf(split(rows), {
			of: "y",
			wrt: ["x", "w"],
			feeds,
		});
		// Rows 0 and 1, 2 and 3, 4.
		t.deepEqual([...(found.gradients.get("x")?.data ?? [])].map(Number), [
			0,
			0,
			0,
			0,
			0,
			0,
			0,
			0,
			w[0],
			w[1],
		]);
		t.deepEqual([...(found.gradients.get("w")?.data ?? [])].map(Number), [
			x[8],
			x[9],
		]);
	}
	t.throws(() => differentiate(split("rows"), "y", ["x"]), {
		code: "E_OP_UNSUPPORTED",
		message: /SplitToSequence.*what a sequence holds/,
	});
});
