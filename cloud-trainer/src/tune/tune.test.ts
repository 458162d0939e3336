import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import {
	emptyGraph,
	encodeSafetensors,
	floats,
	type Graph,
	GraphBuilder,
	int64s,
	readModel,
	type Tensor,
	writeModel,
} from "@wattvox/onnx";
import test, { type ExecutionContext } from "ava";
import { readPeft } from "../lora/peft.ts";
import { feedsFor, openBatches } from "./batches.ts";
import type { TuneSpec } from "./spec.ts";
import { type TuneOptions, tuneModel } from "./tune.ts";
import { weightsOf } from "./weights.ts";

const waves = (dims: number[], k: number): Tensor =>
	floats(
		Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) =>
			Math.sin(k * (i + 1)),
		),
		dims,
	);

/** A classifier as an exporter writes one: a frozen BatchNormalization, a mask, no loss. */
function classifier(): Graph {
	const b = new GraphBuilder(emptyGraph("main_graph", 17));
	const x = b.input("x", "float32", ["batch", 6]);
	const h = b.op(
		"Gemm",
		[
			x,
			b.weight("fc1.weight", waves([16, 6], 1.3)),
			b.weight("fc1.bias", waves([16], 0.4)),
		],
		{ transB: 1 },
	);
	const n = b.op("BatchNormalization", [
		h,
		b.weight("bn.weight", waves([16], 0.9)),
		b.weight("bn.bias", waves([16], 0.2)),
		b.weight("bn.running_mean", waves([16], 0.1)),
		b.weight("bn.running_var", floats(new Float32Array(16).fill(1))),
	]);
	const y = b.matmul(
		b.op("Relu", [n]),
		b.weight("onnx::MatMul_9", waves([16, 3], 0.7)),
	);
	b.output(y, "logits");
	return b.graph;
}

/** Which of the first three inputs is largest. */
function batch(k: number): Record<string, Tensor> {
	const x = waves([16, 6], 0.37 + k);
	const label = Array.from({ length: 16 }, (_, i) => {
		const row = Array.from(x.data.slice(6 * i, 6 * i + 3), Number);
		return row.indexOf(Math.max(...row));
	});
	return { x, label: int64s(label, [16]), ignored: waves([2], 1) };
}

const SPEC: TuneSpec = {
	losses: [{ kind: "cross-entropy", output: "logits", target: "label" }],
	schedule: { kind: "cosine", peak: 0.02, warmup: 5 },
	steps: 60,
	rank: 2,
	validateEvery: 20,
	seed: 3,
};

/** A folder with the model, eight batches and two that are held out. */
async function house(t: ExecutionContext): Promise<TuneOptions> {
	const dir = await temporaryDir(t);
	const model = join(dir, "m.onnx");
	await writeModel(model, classifier());
	for (const [name, from, count] of [
		["data", 0, 8],
		["held", 8, 2],
	] as const) {
		await mkdir(join(dir, name));
		for (let i = from; i < from + count; i++)
			await writeFile(
				join(dir, name, `batch-${i}.safetensors`),
				encodeSafetensors(new Map(Object.entries(batch(i)))),
			);
	}
	return {
		model,
		data: join(dir, "data"),
		validation: join(dir, "held"),
		out: join(dir, "run"),
		spec: SPEC,
	};
}

test("pairs on batches from a folder: the held-out loss falls, the best is written, merged too", async (t) => {
	const o = await house(t);
	const losses: number[] = [];
	const done = await tuneModel({
		...o,
		merge: true,
		onValidation: (loss) => void losses.push(loss),
	});
	t.is(losses.length, 3);
	t.true((losses.at(-1) ?? 9) < 0.85 * (losses[0] ?? 0), String(losses));
	t.is(done.fit.best?.loss, Math.min(...losses));
	t.is(done.epochSteps, 8);
	t.deepEqual(done.trained, ["fc1", "onnx::MatMul_9"]);
	t.is(done.parameters, 2 * (6 + 16) + 2 * (16 + 3));
	const adapter = await readPeft(done.adapter as string);
	t.is(adapter.tensors.size, 4);
	const merged = await readModel(done.model as string);
	t.notDeepEqual(
		merged.initializers.get("fc1.weight"),
		classifier().initializers.get("fc1.weight"),
	);
	t.deepEqual(
		merged.outputs.map((v) => v.name),
		["logits"],
	);
	// What has ended is not done again.
	const again = await tuneModel({ ...o, onStep: () => t.fail() });
	t.is(again.fit.steps, 60);
	await t.throwsAsync(tuneModel({ ...o, spec: { ...SPEC, rank: 4 } }), {
		code: "E_USAGE",
		message: /other settings/,
	});
});

for (const kind of ["folder", "module"] as const)
	test(`a ${kind}: an interrupted run ends as if it had never stopped`, async (t) => {
		const o = await house(t);
		if (kind === "module") {
			o.data = join(o.data, "..", "batches.mjs");
			delete o.validation;
			await writeFile(o.data, MODULE);
		}
		const whole = await tuneModel({ ...o, out: `${o.out}-whole` });
		const stop = new AbortController();
		const first = await tuneModel({
			...o,
			signal: stop.signal,
			onStep: ({ step }) => step === 23 && stop.abort(),
		});
		t.true(first.fit.interrupted);
		t.is(first.adapter, undefined);
		const second = await tuneModel(o);
		t.is(second.fit.steps, 60);
		const [a, b] = await Promise.all(
			[whole, second].map((r) =>
				readFile(join(r.adapter as string, "adapter_model.safetensors")),
			),
		);
		t.deepEqual(a, b);
	});

/** Batches as a user writes them: plain objects, drawn from the epoch's number. */
const MODULE = `
export async function* train({ epoch, seed }) {
	for (let i = 0; i < 5; i++) {
		const data = Float32Array.from({ length: 96 }, (_, k) => Math.sin((seed + epoch + i + 1) * (k + 1)));
		const label = BigInt64Array.from({ length: 16 }, (_, r) => BigInt(data[6 * r] > 0 ? 1 : 0));
		yield {
			x: { dtype: "float32", dims: [16, 6], data },
			label: { dtype: "int64", dims: [16], data: label },
		};
	}
}
`;

test("whole weights: statistics stay, every weight that is read moves", async (t) => {
	const o = await house(t);
	const done = await tuneModel({
		...o,
		spec: { ...SPEC, full: true, steps: 4 },
	});
	t.is(done.adapter, undefined);
	const before = classifier().initializers;
	const after = (await readModel(done.model as string)).initializers;
	const moved = [...after].filter(
		([name, { data }]) =>
			String(data) !== String(before.get(name)?.data ?? data),
	);
	const weights = [
		"bn.bias",
		"bn.weight",
		"fc1.bias",
		"fc1.weight",
		"onnx::MatMul_9",
	];
	t.deepEqual(moved.map(([name]) => name).sort(), weights);
	t.deepEqual(weightsOf(classifier()).sort(), weights);
	await t.throwsAsync(
		tuneModel({
			...o,
			out: `${o.out}2`,
			spec: { ...SPEC, full: true, targets: "nothing" },
		}),
		{ code: "E_MODEL", message: /no weight matches nothing.*fc1\.weight/ },
	);
});

test("each epoch of a folder has all its files in an order of its own, the same each time", async (t) => {
	const { data } = await house(t);
	const keys = async (seed: number) => {
		const source = await openBatches(data, seed);
		return Array.from({ length: 16 }, (_, i) => source.key(i) as string);
	};
	const all = await keys(1);
	t.is(new Set(all.slice(0, 8)).size, 8);
	t.is(new Set(all.slice(8)).size, 8);
	t.notDeepEqual(all.slice(0, 8), all.slice(8));
	t.deepEqual(await keys(1), all);
	t.notDeepEqual(await keys(2), all);
});

test("what does not fit is told before anything is trained", async (t) => {
	const o = await house(t);
	const told = (change: Partial<TuneOptions>, code: string, message: RegExp) =>
		t.throwsAsync(tuneModel({ ...o, ...change }), { code, message } as never);
	await told({ data: `${o.data}/none` }, "E_FILE_MISSING", /no folder/);
	await told(
		{ data: o.out.replace(/run$/, "") },
		"E_FILE_MISSING",
		/no batches/,
	);
	const { losses: _, ...rest } = SPEC;
	await told({ spec: rest }, "E_USAGE", /no scalar output loss.*logits/);
	await told(
		{ spec: { ...SPEC, stepz: 3 } as never },
		"E_USAGE",
		/recipe:.*stepz/s,
	);
	const inputs = classifier().inputs;
	for (const [feeds, why] of [
		[{ y: waves([2, 6], 1) }, /b: x is missing; the batch has y/],
		[{ x: int64s([1, 2], [1, 2]) }, /x is int64, the model takes float32/],
		[{ x: waves([2, 5], 1) }, /x is \[2,5\], the model takes \[batch,6\]/],
	] as const)
		t.throws(() => feedsFor(inputs, feeds as never, "b"), {
			code: "E_MODEL",
			message: why,
		} as never);
	const module = join(o.data, "..", "wrong.mjs");
	await writeFile(module, "export const train = 1;");
	await told({ data: module }, "E_FILE_FORMAT", /exports no function train/);
	const none = join(o.data, "..", "none.mjs");
	await writeFile(none, "export const train = () => [];");
	await told({ data: none }, "E_FILE_MISSING", /yields none/);
});
