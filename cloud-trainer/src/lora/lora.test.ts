import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linear, type Net, seededRandom } from "@wattvox/models";
import {
	emptyGraph,
	encodeModel,
	floats,
	type Graph,
	GraphBuilder,
	mergeLora,
	type Tensor,
} from "@wattvox/onnx";
import test from "ava";
import * as ort from "onnxruntime-node";
import { fromPeft, injectLora, toPeft } from "./inject.ts";
import { readPeft, writePeft } from "./peft.ts";

const OPTIONS = { rank: 3, alpha: 6, targets: /\.w$/, seed: 5 };

function mlp(): Graph {
	const n: Net = {
		b: new GraphBuilder(emptyGraph("mlp")),
		random: seededRandom(1),
	};
	const x = n.b.input("x", "float32", ["B", 7]);
	const h = n.b.op("Tanh", [linear(n, "first", x, 5)]);
	n.b.output(linear(n, "second", h, 4), "y");
	return n.b.graph;
}

async function run(graph: Graph, x: Float32Array): Promise<Float32Array> {
	const session = await ort.InferenceSession.create(encodeModel(graph));
	try {
		const { y } = await session.run({
			x: new ort.Tensor("float32", x, [x.length / 7, 7]),
		});
		return y?.data as Float32Array;
	} finally {
		await session.release();
	}
}

const noise = (size: number, seed: number): Float32Array => {
	const random = seededRandom(seed);
	return Float32Array.from({ length: size }, () => random() - 0.5);
};

/** An injected graph whose pairs hold noise in place of their neutral start. */
function trained(): { graph: Graph; adapter: Map<string, Tensor> } {
	const injected = injectLora(mlp(), OPTIONS);
	const parameters = new Map(
		injected.trainable.map((name, i) => {
			const t = injected.graph.initializers.get(name) as Tensor;
			return [name, floats(noise(t.data.length, i), t.dims)] as const;
		}),
	);
	return {
		graph: {
			...injected.graph,
			initializers: new Map([...injected.graph.initializers, ...parameters]),
		},
		adapter: toPeft(parameters, injected.adapted),
	};
}

const gap = (a: Float32Array, b: Float32Array): number =>
	Math.max(...a.map((v, i) => Math.abs(v - (b[i] ?? Number.NaN))));

test("a fresh adapter changes nothing", async (t) => {
	const x = noise(21, 9);
	t.is(
		gap(await run(injectLora(mlp(), OPTIONS).graph, x), await run(mlp(), x)),
		0,
	);
});

test("merged and unmerged outputs agree", async (t) => {
	const x = noise(21, 9);
	const { graph, adapter } = trained();
	const { graph: merged, merged: names } = mergeLora(
		mlp(),
		adapter,
		OPTIONS.alpha / OPTIONS.rank,
	);
	t.deepEqual(names.sort(), ["first.w", "second.w"]);
	const [a, b, plain] = [
		await run(graph, x),
		await run(merged, x),
		await run(mlp(), x),
	];
	t.true(gap(a, b) < 1e-5);
	t.true(gap(a, plain) > 1e-2, "the adapter must do something");
});

test("PEFT tensors have PEFT's shapes and come back as they were", async (t) => {
	const { adapter } = trained();
	t.deepEqual(
		adapter.get("base_model.model.first.w.lora_A.weight")?.dims,
		[3, 7],
	);
	t.deepEqual(
		adapter.get("base_model.model.first.w.lora_B.weight")?.dims,
		[5, 3],
	);
	const again = toPeft(fromPeft(adapter, ["first.w", "second.w"]), [
		"first.w",
		"second.w",
	]);
	t.deepEqual(again, adapter);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-peft-"));
	try {
		await writePeft(dir, adapter, OPTIONS, ["first.w", "second.w"], "mlp");
		const read = await readPeft(dir);
		t.deepEqual(read.tensors, adapter);
		t.is(read.scale, 2);
	} finally {
		await rm(dir, { recursive: true });
	}
});

test("no matching weight is an error, not a silent nothing", (t) => {
	t.throws(() => injectLora(mlp(), { ...OPTIONS, targets: /nothing/ }), {
		code: "E_MODEL",
	} as never);
});
