import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	readModel,
	type Tensor,
	writeModel,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import test from "ava";
import { cli } from "../testing.ts";

const values = (dims: number[], k: number): Tensor =>
	floats(
		Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) =>
			Math.sin(k * (i + 1)),
		),
		dims,
	);

/** Two layers, the second under a name that an exporter made up. */
function model(k = 1): Graph {
	const b = new GraphBuilder(emptyGraph("two"));
	const x = b.input("x", "float32", ["B", 6]);
	const h = b.op("Gemm", [x, b.weight("net.fc1.weight", values([5, 6], k))], {
		transB: 1,
	});
	b.append({
		op: "MatMul",
		domain: "",
		name: "/net/fc2/MatMul",
		inputs: [
			b.op("Tanh", [h]).name,
			b.weight("onnx::MatMul_9", values([5, 4], k)).name,
		],
		outputs: ["y"],
		attrs: {},
	});
	b.output(b.value("y"));
	return b.graph;
}

async function run(path: string): Promise<Float32Array> {
	const engine = await createEngine(await readFile(path));
	try {
		const { y } = await engine.run({ x: values([3, 6], 0.7) } as never);
		return y?.data as Float32Array;
	} finally {
		await engine.dispose();
	}
}

const gap = (a: Float32Array, b: Float32Array) =>
	Math.max(...a.map((v, i) => Math.abs(v - (b[i] ?? Number.NaN))));

test("a change is extracted, injected and merged: the same outputs each way", async (t) => {
	const dir = await temporaryDir(t);
	const at = (name: string) => join(dir, name);
	await writeModel(at("base.onnx"), model());
	await writeModel(at("tuned.onnx"), model(1.1));
	const extracted = await cli([
		...["lora", "extract", "--base", at("base.onnx"), "--tuned"],
		...[at("tuned.onnx"), "--rank", "5", "--out", at("adapter"), "--json"],
	]);
	t.is(extracted.code, 0, extracted.err);
	const { error, modules } = extracted.json as {
		error: number;
		modules: { module: string }[];
	};
	t.true(error < 1e-5);
	t.deepEqual(
		modules.map((m) => m.module),
		["net.fc1", "net.fc2"],
	);
	const injected = await cli([
		...["lora", "inject", "--model", at("base.onnx"), "--adapter"],
		...[at("adapter"), "--out", at("beside.onnx"), "--peft", at("again")],
	]);
	t.is(injected.code, 0, injected.err);
	t.regex(injected.out, /net\.fc1 +gemm +5 +1 +55\n/);
	const merged = await cli([
		...["lora", "merge", "--model", at("base.onnx"), "--adapter", at("again")],
		...["--out", at("merged.onnx")],
	]);
	t.is(merged.code, 0, merged.err);
	const want = await run(at("tuned.onnx"));
	t.true(gap(await run(at("beside.onnx")), want) < 1e-5);
	t.true(gap(await run(at("merged.onnx")), want) < 1e-5);
	t.true(gap(await run(at("base.onnx")), want) > 1e-2);
});

test("fresh pairs by target, with names of the caller's", async (t) => {
	const dir = await temporaryDir(t);
	const at = (name: string) => join(dir, name);
	await writeModel(at("base.onnx"), model());
	await writeFile(at("map.json"), '{"/net/fc2/MatMul": "decoder.out"}');
	const { code, json } = await cli([
		...["lora", "inject", "--model", at("base.onnx"), "--target", "out"],
		...["--rank", "2", "--rslora", "--alpha", "6", "--map", at("map.json")],
		...["--rank-pattern", "decoder\\..*=3", "--out", at("m.onnx"), "--json"],
	]);
	t.is(code, 0);
	t.like(json, {
		parameters: 27,
		share: 27 / 50,
		modules: [
			{
				module: "decoder.out",
				weight: "onnx::MatMul_9",
				rank: 3,
				scale: 6 / Math.sqrt(3),
			},
		],
	});
	t.is(gap(await run(at("m.onnx")), await run(at("base.onnx"))), 0);
	t.true(
		(await readModel(at("m.onnx"))).initializers.has("onnx::MatMul_9.lora_A"),
	);
});

test("wrong targets, adapters and patterns are told", async (t) => {
	const dir = await temporaryDir(t);
	const at = (name: string) => join(dir, name);
	await writeModel(at("base.onnx"), model());
	const inject = (...more: string[]) =>
		cli([
			"lora",
			"inject",
			"--model",
			at("base.onnx"),
			"--out",
			at("m"),
			...more,
		]);
	const none = await inject("--target", "attention");
	t.is(none.code, 3);
	t.regex(
		none.err,
		/E_MODEL: no weight matches attention; the model's are: net\.fc1, net\.fc2/,
	);
	t.is((await inject("--rank", "0")).code, 2);
	t.is((await inject("--alpha", "-1")).code, 2);
	t.is((await inject("--rank-pattern", "x")).code, 2);
	t.is((await inject("--adapter", at("nowhere"))).code, 3);
	t.is((await inject("--map", at("base.onnx"))).code, 3);
	const same = await cli([
		...["lora", "extract", "--base", at("base.onnx"), "--tuned"],
		...[at("base.onnx"), "--out", at("adapter")],
	]);
	t.is(same.code, 3);
	t.regex(same.err, /no weight that a pair can hold differs/);
});

test("a ConvTranspose's pair has to be named, and PEFT's lack of it is said", async (t) => {
	const dir = await temporaryDir(t);
	const at = (name: string) => join(dir, name);
	const graph = (k: number) => {
		const b = new GraphBuilder(emptyGraph("up"));
		const x = b.input("x", "float32", ["B", 3, 5]);
		const h = b.op("Conv", [x, b.weight("pre.weight", values([4, 3, 1], k))]);
		const up = b.weight("up.weight", values([4, 2, 4], k));
		b.output(b.op("ConvTranspose", [h, up], { strides: [2] }), "y");
		return b.graph;
	};
	await writeModel(at("base.onnx"), graph(1));
	await writeModel(at("tuned.onnx"), graph(1.1));
	const inject = async (...targets: string[]) =>
		cli([
			...["lora", "inject", "--model", at("base.onnx"), "--rank", "2"],
			...["--out", at("m.onnx"), "--peft", at("a"), ...targets],
		]);
	const plain = await inject();
	t.is(plain.code, 0, plain.err);
	t.notRegex(plain.out + plain.err, /\bup\b/);
	const named = await inject("--target", "*", "--target", "up");
	t.is(named.code, 0, named.err);
	t.regex(named.out, /up +conv-transpose +2 +2 +36\n/);
	t.regex(named.err, /PEFT has no pair for ConvTranspose.* up$/m);
	const extract = async (...targets: string[]) =>
		cli([
			...["lora", "extract", "--base", at("base.onnx"), "--rank", "4"],
			...["--tuned", at("tuned.onnx"), "--out", at("b"), "--json", ...targets],
		]);
	const part = await extract();
	t.like(part.json, { left: { names: ["up.weight"] } });
	const whole = await extract("--target", "*", "--target", "up");
	const { error, left } = whole.json as {
		error: number;
		left: { names: string[] };
	};
	t.true(error < 1e-5);
	t.deepEqual(left.names, []);
});
