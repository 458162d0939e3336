import test from "ava";
import { gradientsEarly } from "./order.ts";
import { smallTransformer } from "./testing.ts";
import { gradientGraph } from "./training-graph.ts";

const names = (ops: readonly { outputs: string[] }[]) =>
	ops.map((n) => n.outputs[0]);

test("what nothing reads goes to the end, the first made last; the rest keeps its order", (t) => {
	const node = (out: string, ...inputs: string[]) => ({
		op: "Sum",
		domain: "",
		name: out,
		inputs,
		outputs: [out],
		attrs: {},
	});
	const { graph } = gradientGraph(smallTransformer(1), "y", [
		"layers.0.fc2.weight",
	]);
	const nodes = [
		node("a", "x"),
		node("g2", "a"),
		node("b", "a"),
		node("g1", "b"),
		node("c", "b"),
		node("g0", "c"),
	];
	t.deepEqual(names(gradientsEarly({ ...graph, nodes }).nodes), [
		"a",
		"b",
		"c",
		"g0",
		"g1",
		"g2",
	]);
});

test("a backward half ends with its weights' gradients, the last layer's at the very end", (t) => {
	const layers = [0, 1, 2];
	const weights = layers.map((l) => `layers.${l}.fc1.weight`);
	const { graph, gradients } = gradientGraph(smallTransformer(3), "y", weights);
	const at = (name: string) =>
		graph.nodes.findIndex((n) => n.outputs.includes(name));
	const places = gradients.map(([, output]) => at(output));
	t.is(gradients.length, 3);
	t.deepEqual(
		places,
		[...places].sort((a, b) => a - b),
	);
	// Behind them only the forward half's own output, where the backward half does not read it.
	t.deepEqual(names(graph.nodes.slice((places.at(-1) ?? 0) + 1)), ["y"]);
	// Still an order in which every node comes after what it reads.
	const made = new Set([
		...graph.inputs.map((v) => v.name),
		...graph.initializers.keys(),
	]);
	for (const n of graph.nodes) {
		t.true(
			n.inputs.every((i) => !i || made.has(i)),
			n.name,
		);
		for (const o of n.outputs) made.add(o);
	}
});
