import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import {
	decodeSafetensors,
	encodeModel,
	floats,
	type Graph,
	hoistConstants,
	inferTypes,
	readModel,
	type Tensor,
} from "@wattvox/onnx";
import test, { type ExecutionContext } from "ava";
import { injectLora } from "../lora/inject.ts";
import { withLosses } from "../losses/index.ts";
import { ADAMW } from "./adamw.ts";
import { backwardGraph } from "./backward.ts";
import { type FitOptions, fit, parametersOf } from "./fit.ts";
import { LossScale, mixedPrecision } from "./half.ts";
import { splitBatch } from "./parts.ts";
import { splitFrozen } from "./prefix.ts";
import { type StepLevers, TrainingStep } from "./programs.ts";
import { Stepper } from "./stepper.ts";
import { drawn, furthest, smallTransformer } from "./testing.ts";
import { trainingGraph } from "./training-graph.ts";

const WIDTH = 16;
const mask = (rows: number[], length: number): Tensor =>
	floats(
		rows.flatMap((n) => Array.from({ length }, (_, i) => (i < n ? 1 : 0))),
		[rows.length, length, 1],
	);
const FEEDS = {
	x: drawn([6, 5, WIDTH], 50),
	target: drawn([6, 5, WIDTH], 51),
	mask: mask([5, 3, 1, 4, 2, 5], 5),
};

/** Three layers, two terms that weigh rows differently. */
const model = () =>
	withLosses(smallTransformer(3, WIDTH), [
		{ kind: "l2", output: "y", target: "target", mask: "mask" },
		{ kind: "cosine", output: "y", target: "target", weight: 0.3 },
	]);

/** State and outputs after two steps. */
async function twoSteps(
	t: ExecutionContext,
	levers: StepLevers,
	{ graph, loss, terms }: ReturnType<typeof model> = model(),
) {
	const step = new TrainingStep(
		{
			graph,
			loss,
			trainable: parametersOf(graph),
			adamw: { ...ADAMW, epsilon: 1e-3 },
			settings: () => ({ rate: 1 }),
			sample: FEEDS,
		},
		{ terms, ...levers },
	);
	const stepper = new Stepper({ ...step.init, threads: 1 });
	t.teardown(() => stepper.stop());
	await stepper.start();
	await step.run(stepper, FEEDS, 1e-3, 1);
	const { outputs, applied } = await step.run(stepper, FEEDS, 1e-3, 2);
	t.true(applied);
	const values = Object.fromEntries(
		Object.entries(outputs)
			.filter(([, v]) => v.data.length === 1)
			.map(([k, v]) => [k, Number(v.data[0])]),
	);
	return { step, values, state: await stepper.state() };
}

const near = (t: ExecutionContext, a: number, b: number, by = 1e-5) =>
	t.true(Math.abs(a - b) <= by * Math.abs(b), `${a} against ${b}`);

test("recomputed activations give the same step", async (t) => {
	const plain = await twoSteps(t, {});
	for (const segments of [2, 5]) {
		const again = await twoSteps(t, { segments });
		t.is(again.step.plan?.cuts.length, segments - 1);
		t.true(furthest(again.state, plain.state) < 1e-5);
		near(t, again.values.loss ?? 0, plain.values.loss ?? 1);
	}
});

test("a memory target is met with the fewest segments, or told to be out of reach", (t) => {
	const { graph, loss } = model();
	const plan = (memory: number) =>
		backwardGraph(graph, loss, parametersOf(graph), {
			recompute: { memory, feeds: FEEDS },
		}).plan;
	const plenty = plan(1e9);
	t.deepEqual(plenty?.cuts, []);
	t.is(plenty?.activations, plenty?.plain);
	t.is(plenty?.unknown, 0);
	const { fixed, plain } = plenty ?? { fixed: 0, plain: 0 };
	const less = plan(fixed + 0.7 * plain);
	t.true(less?.reached);
	t.true((less?.cuts.length ?? 0) > 0);
	t.true((less?.activations ?? plain) <= 0.7 * plain);
	const never = plan(fixed);
	t.false(never?.reached);
	t.true((never?.activations ?? plain) < (less?.activations ?? 0));
});

test("nodes that would give something else are not run twice", (t) => {
	const { graph, loss } = model();
	const noisy: Graph = {
		...graph,
		nodes: graph.nodes.flatMap((n) =>
			n.op !== "Tanh"
				? [n]
				: [
						{ ...n, outputs: [`${n.outputs[0]}.t`] },
						{
							op: "RandomNormalLike",
							domain: "",
							name: `${n.name}.noise`,
							inputs: [`${n.outputs[0]}.t`],
							outputs: [`${n.outputs[0]}.noise`],
							attrs: {},
						},
						{
							op: "Mul",
							domain: "",
							name: `${n.name}.mul`,
							inputs: [`${n.outputs[0]}.t`, `${n.outputs[0]}.noise`],
							outputs: n.outputs,
							attrs: {},
						},
					],
		),
		valueInfo: new Map(
			graph.nodes
				.filter((n) => n.op === "Tanh")
				.map((n) => [
					`${n.outputs[0]}.noise`,
					{ dtype: "float32", shape: ["B", "T", 4 * WIDTH] },
				]),
		),
	};
	const { b } = backwardGraph(noisy, loss, ["layers.0.fc1.weight"], {
		recompute: { segments: 3, feeds: FEEDS },
	});
	const ops = b.graph.nodes.map((n) => n.op);
	t.is(ops.filter((op) => op === "RandomNormalLike").length, 3);
	t.true(ops.filter((op) => op === "Tanh").length > 3);
});

test("parts of a batch add up to the step over the whole batch", async (t) => {
	const whole = await twoSteps(t, {});
	for (const accumulate of [2, 4, 6, 9]) {
		const parts = await twoSteps(t, { accumulate });
		t.true(furthest(parts.state, whole.state) < 1e-5);
		for (const name of Object.keys(whole.values))
			near(t, parts.values[name] ?? 0, whole.values[name] ?? 1);
	}
	const both = await twoSteps(t, { accumulate: 3, segments: 3 });
	t.true(furthest(both.state, whole.state) < 1e-5);
});

test("a batch is cut by rows; what has none goes with every part", (t) => {
	const { graph } = model();
	const weight = floats([2], []);
	const parts = splitBatch(graph, { ...FEEDS, weight }, 4);
	t.deepEqual(
		parts.map((p) => p.x?.dims[0]),
		[1, 2, 1, 2],
	);
	t.deepEqual(
		parts.flatMap((p) => [...(p.mask?.data ?? [])]),
		[...FEEDS.mask.data],
	);
	t.true(parts.every((p) => p.weight === weight));
	const fixed = {
		...graph,
		inputs: graph.inputs.map((v) => ({ ...v, shape: [6, 5, WIDTH] })),
	};
	t.throws(() => splitBatch(fixed, FEEDS, 2), { code: "E_MODEL" } as never);
});

test("mixed precision: half precision's error, float32 weights, a scale that adapts", async (t) => {
	const single = await twoSteps(t, {});
	for (const levers of [{}, { accumulate: 2, segments: 2 }]) {
		const mixed = await twoSteps(t, { precision: "mixed", ...levers });
		t.true(mixed.step.halved > 30, String(mixed.step.halved));
		near(t, mixed.values.loss ?? 0, single.values.loss ?? 1, 5e-3);
		near(
			t,
			mixed.values["adamw.norm"] ?? 0,
			single.values["adamw.norm"] ?? 1,
			2e-2,
		);
		const off = furthest(mixed.state, single.state);
		t.true(off < 1e-2, String(off));
		t.true([...mixed.state.values()].every((s) => s.dtype === "float32"));
	}
	// ONNX Runtime's CPU provider computes all this in float32, so the types tell what a GPU would do.
	const { graph, loss } = model();
	const half = mixedPrecision(
		trainingGraph(graph, loss, parametersOf(graph)).graph,
	).graph;
	const types = inferTypes(half);
	const inputsOf = (op: RegExp) =>
		new Set(
			half.nodes
				.filter((n) => op.test(n.op))
				.flatMap((n) => n.inputs.map((i) => types.get(i)?.dtype)),
		);
	t.deepEqual([...inputsOf(/MatMul|Gemm/)], ["float16"]);
	t.deepEqual(
		[...inputsOf(/LayerNormalization|Softmax|ReduceSum$|Sqrt/)].sort(),
		["float32", "int64"],
	);
	const scale = new LossScale(1024, 3);
	const after = [false, true, true, true, true].map((ok) => {
		scale.update(ok);
		return scale.scale;
	});
	t.deepEqual(after, [512, 512, 512, 1024, 1024]);
});

test("too large a scale drops the step and halves itself until it fits", async (t) => {
	const { graph, loss } = model();
	const result = await fit({
		graph,
		loss,
		trainable: parametersOf(graph),
		steps: 40,
		schedule: { kind: "constant", peak: 1e-3 },
		// A large gradient: the mean over one row of a target far away.
		batch: () => ({
			...FEEDS,
			target: drawn([6, 5, WIDTH], 51, 3e4),
		}),
		precision: "mixed",
	});
	t.true(result.dropped > 0 && result.dropped < 40, String(result.dropped));
});

const LORA = { rank: 2, alpha: 4, seed: 1 };

/** LoRA on the last layer, over batches that come again. */
function upper(more: Partial<FitOptions>): FitOptions {
	const { graph, trainable } = injectLora(model().graph, {
		...LORA,
		targets: "layers.2.*",
	});
	const batch = (step: number) => ({
		...FEEDS,
		x: drawn([6, 5, WIDTH], 60 + (step % 3)),
	});
	return {
		graph,
		trainable,
		steps: 9,
		schedule: { kind: "linear", peak: 1e-2, warmup: 2 },
		batch,
		validation: [FEEDS],
		validateEvery: 3,
		...more,
	};
}

test("what no trained weight reaches is computed once per batch, and training is the same", async (t) => {
	const seen: Record<string, number>[] = [];
	const plain = await fit(upper({ onValidation: (_l, _s, v) => seen.push(v) }));
	const cachedSeen: Record<string, number>[] = [];
	const key = (step: number) => String(step % 3);
	const cached = await fit(
		upper({ batchKey: key, onValidation: (_l, _s, v) => cachedSeen.push(v) }),
	);
	t.true(furthest(cached.parameters, plain.parameters) < 1e-5);
	// Three batches and one of validation; nine steps, three validations.
	t.deepEqual(cached.cache, { hits: 8, misses: 4 });
	for (const [i, v] of seen.entries())
		near(t, cachedSeen[i]?.loss ?? 0, v.loss ?? 1);
	const small = await fit(upper({ batchKey: key, cacheBytes: 1000 }));
	t.is(small.cache?.hits, 0);
	t.true(furthest(small.parameters, plain.parameters) < 1e-5);
});

test("the prefix ends where the adapters begin", (t) => {
	const { graph, trainable } = upper({});
	const split = splitFrozen(graph, trainable);
	const layers = (g?: Graph) =>
		[...(g?.initializers.keys() ?? [])].filter((n) => n.endsWith("fc1.weight"));
	t.deepEqual(layers(split?.prefix), [
		"layers.0.fc1.weight",
		"layers.1.fc1.weight",
	]);
	t.deepEqual(layers(split?.rest), ["layers.2.fc1.weight"]);
	t.notThrows(() => encodeModel(split?.rest as Graph));
	t.is(splitFrozen(model().graph, parametersOf(model().graph)), undefined);
});

test("positions that follow from the batch are no part of what is kept", async (t) => {
	const at = fileURLToPath(
		new URL("../../fixtures/torch/gpt2-17", import.meta.url),
	);
	const { graph, trainable } = injectLora(
		hoistConstants(await readModel(`${at}.onnx`)),
		{ rank: 2, alpha: 4, targets: "*", seed: 1 },
	);
	const split = splitFrozen(graph, trainable);
	t.deepEqual(split?.boundary, [
		"/wte/Gather_output_0.base",
		"/wpe/Gather_output_0.base",
	]);
	const bytes = await readFile(`${at}.feeds.safetensors`);
	const feeds = Object.fromEntries(decodeSafetensors(bytes).tensors);
	const ends = async (batchKey?: () => string) => {
		const { parameters } = await fit({
			graph,
			loss: "y",
			trainable,
			steps: 3,
			schedule: () => 0.01,
			batch: () => feeds,
			...(batchKey && { batchKey }),
		});
		return parameters;
	};
	t.true(furthest(await ends(() => "a"), await ends()) < 1e-5);
});
