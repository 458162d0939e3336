import { emptyGraph, encodeModel, floats, GraphBuilder } from "@wattvox/onnx";
import { createEngine, tensor } from "@wattvox/runtime";
import test from "ava";
import { roundedGraph } from "./rounding-graph.ts";

/** y = x w, then z = y + x. */
function graph() {
	const b = new GraphBuilder(emptyGraph("g"));
	const x = b.input("x", "float32", [1, 2]);
	const w = b.weight("w", floats([1 + 2 ** -8 + 2 ** -20, 0, 0, 1], [2, 2]));
	b.output(b.op("Add", [b.op("MatMul", [x, w]), x]), "z");
	return b.graph;
}

test("values are rounded to the nearest of so many bits, where it was asked for", async (t) => {
	const run = async (model: Uint8Array, ...x: number[]) => {
		const engine = await createEngine(model);
		const feeds = { x: tensor("float32", [1, 2], Float32Array.from(x)) };
		const { z } = await engine.run(feeds);
		await engine.dispose();
		return Array.from(z?.data ?? [], Number);
	};
	// Between 2 and 4 the numbers of 11 bits are 2^-9 apart; the weight's last bit is 2^-20.
	const [a, b] = [3 + 2 ** -12, -(3 + 2 ** -9)];
	const single = Math.fround;
	t.deepEqual(
		await run(encodeModel(roundedGraph(graph(), 11, "products")), a, b),
		[single(3 * (1 + 2 ** -8) + a), 2 * b],
	);
	t.deepEqual(await run(encodeModel(roundedGraph(graph(), 11, "all")), a, b), [
		6 + 3 * 2 ** -8,
		2 * b,
	]);
	const exact = await run(encodeModel(roundedGraph(graph(), 24, "all")), a, b);
	t.deepEqual(exact, await run(encodeModel(graph()), a, b));
});
