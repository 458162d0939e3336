import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@wattvox/models";
import {
	emptyGraph,
	encodeModel,
	floats,
	type Graph,
	GraphBuilder,
	int64s,
	type Tensor,
} from "@wattvox/onnx";
import test from "ava";
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import { attachLora, mergeAdapter } from "./attach.ts";
import { extractLora } from "./extract.ts";
import { injectLora, type LoraOptions, toPeft } from "./inject.ts";
import { fromNodeName } from "./module-path.ts";
import { turned } from "./pair.ts";
import { type Adapter, pairsOf, readPeft, writePeft } from "./peft.ts";
import { findSites } from "./sites.ts";
import { truncatedSvd } from "./svd.ts";

const noise = (dims: number[], seed: number): Tensor => {
	const random = seededRandom(seed);
	const size = dims.reduce((a, b) => a * b, 1);
	return floats(
		Float32Array.from({ length: size }, () => random() - 0.5),
		dims,
	);
};

/** A model as torch exports one: embedding, turned weights, made-up names, Gemm, Conv. */
function torchLike(): Graph {
	const b = new GraphBuilder(emptyGraph("torch"));
	const ids = b.input("ids", "int64", ["B", 6]);
	const table = b.weight("embed.weight", noise([11, 8], 1));
	const h = b.op("Gather", [table, ids]);
	const turnedWeight = b.op(
		"Transpose",
		[b.weight("encoder.layers.0.linear.weight", noise([5, 8], 2))],
		{ perm: [1, 0] },
	);
	const first = b.op("Tanh", [b.matmul(h, turnedWeight)]);
	const anonymous = b.weight("onnx::MatMul_123", noise([5, 4], 3));
	const [product] = b.append({
		op: "MatMul",
		domain: "",
		name: "/encoder/layers.1/proj/MatMul",
		inputs: [first.name, anonymous.name],
		outputs: ["/encoder/layers.1/proj/MatMul_output_0"],
		attrs: {},
	});
	const flat = b.reshape(product as never, [-1, 24]);
	const gemm = b.op(
		"Gemm",
		[
			flat,
			b.weight("head.weight", noise([7, 24], 4)),
			b.weight("head.bias", noise([7], 5)),
		],
		{ transB: 1, alpha: { kind: "float", value: 0.5 } },
	);
	b.output(gemm, "y");
	return b.graph;
}

function conv(rank: 1 | 2): Graph {
	const b = new GraphBuilder(emptyGraph("conv"));
	const extra = rank === 2 ? [9] : [];
	const x = b.input("x", "float32", ["B", 3, 12, ...extra]);
	const k = rank === 2 ? [3, 2] : [3];
	const y = b.op(
		"Conv",
		[
			x,
			b.weight("body.conv.weight", noise([4, 3, ...k], 6)),
			b.weight("body.conv.bias", noise([4], 7)),
		],
		{
			strides: rank === 2 ? [2, 1] : [2],
			dilations: rank === 2 ? [1, 2] : [2],
			pads: rank === 2 ? [1, 0, 1, 2] : [1, 2],
		},
	);
	b.output(y, "y");
	return b.graph;
}

function transposed(rank: 1 | 2): Graph {
	const b = new GraphBuilder(emptyGraph("transposed"));
	const extra = rank === 2 ? [5] : [];
	const x = b.input("x", "float32", ["B", 3, 6, ...extra]);
	const k = rank === 2 ? [3, 2] : [4];
	const y = b.op(
		"ConvTranspose",
		[
			x,
			b.weight("body.up.weight", noise([3, 5, ...k], 6)),
			b.weight("body.up.bias", noise([5], 7)),
		],
		{
			strides: rank === 2 ? [2, 1] : [2],
			dilations: rank === 2 ? [1, 2] : [1],
			pads: rank === 2 ? [1, 0, 0, 1] : [1, 1],
			output_padding: rank === 2 ? [1, 0] : [1],
		},
	);
	b.output(y, "y");
	return b.graph;
}

/** One table read by Gather and, turned, by the product at the end. */
function tied(): Graph {
	const b = new GraphBuilder(emptyGraph("tied"));
	const ids = b.input("ids", "int64", ["B", 6]);
	const table = b.weight("wte.weight", noise([11, 8], 8));
	const h = b.op("Tanh", [b.op("Gather", [table, ids])]);
	b.output(b.matmul(h, b.op("Transpose", [table], { perm: [1, 0] })), "y");
	return b.graph;
}

const IDS = {
	ids: int64s([0, 1, 2, 3, 4, 5, 10, 9, 8, 7, 6, 5], [2, 6]),
};
const MODELS: Record<
	string,
	{ graph: () => Graph; feeds: Record<string, Tensor> }
> = {
	torch: { graph: torchLike, feeds: IDS },
	conv1d: { graph: () => conv(1), feeds: { x: noise([2, 3, 12], 9) } },
	conv2d: { graph: () => conv(2), feeds: { x: noise([2, 3, 12, 9], 10) } },
	transposed1d: {
		graph: () => transposed(1),
		feeds: { x: noise([2, 3, 6], 11) },
	},
	transposed2d: {
		graph: () => transposed(2),
		feeds: { x: noise([2, 3, 6, 5], 12) },
	},
	tied: { graph: tied, feeds: IDS },
};

async function run(
	graph: Graph,
	feeds: Record<string, Tensor>,
): Promise<Float32Array> {
	const session = await ort.InferenceSession.create(encodeModel(graph));
	try {
		const fed = Object.entries(feeds).map(([name, t]) => [
			name,
			new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.dims),
		]);
		const { y } = await session.run(Object.fromEntries(fed));
		return y?.data as Float32Array;
	} finally {
		await session.release();
	}
}

const gap = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
	Math.max(...Array.from(a, (v, i) => Math.abs(v - (b[i] ?? Number.NaN))));

const OPTIONS: LoraOptions = {
	rank: 3,
	alpha: 5,
	targets: /./,
	seed: 3,
	rsLora: true,
};

/** An adapter with noise in both halves of every pair. */
function adapterOf(graph: Graph, o = OPTIONS): Adapter {
	const { trainable, graph: injected, sites } = injectLora(graph, o);
	const noisy = new Map(
		trainable.map((n, i) => [
			n,
			noise(injected.initializers.get(n)?.dims ?? [], 40 + i),
		]),
	);
	return {
		tensors: toPeft(noisy, sites),
		rank: o.rank,
		alpha: o.alpha,
		rsLora: o.rsLora ?? false,
		scale: 0,
		rankPattern: { ...o.rankPattern },
		alphaPattern: { ...o.alphaPattern },
		saved: [],
	};
}

for (const [name, { graph, feeds }] of Object.entries(MODELS)) {
	test(`${name}: a fresh pair changes nothing; merged and unmerged agree`, async (t) => {
		const plain = await run(graph(), feeds);
		t.is(gap(await run(injectLora(graph(), OPTIONS).graph, feeds), plain), 0);
		const adapter = adapterOf(graph());
		const unmerged = attachLora(graph(), adapter);
		const merged = mergeAdapter(graph(), adapter);
		t.deepEqual(
			merged.merged,
			unmerged.sites.map((s) => s.module),
		);
		const beside = await run(unmerged.graph, feeds);
		t.true(gap(beside, await run(merged.graph, feeds)) < 1e-5);
		t.true(gap(beside, plain) > 1e-2, "the adapter must do something");
	});

	// Of a tied table both uses change: one weight no longer holds them.
	if (name === "tied") continue;
	test(`${name}: what was merged is extracted again, exactly at its rank`, async (t) => {
		const adapter = adapterOf(graph());
		const tuned = mergeAdapter(graph(), adapter).graph;
		const found = extractLora(graph(), tuned, {
			rank: 3,
			targets: /./,
		});
		t.true(found.error < 1e-5, String(found.error));
		t.deepEqual(found.left, { names: [], share: 0 });
		const again = mergeAdapter(graph(), {
			tensors: found.tensors,
			...found.config,
			rsLora: false,
			scale: 1,
			rankPattern: { ...found.config.rankPattern },
			alphaPattern: { ...found.config.alphaPattern },
			saved: [],
		}).graph;
		t.true(gap(await run(again, feeds), await run(tuned, feeds)) < 1e-5);
		const less = extractLora(graph(), tuned, {
			rank: 1,
			targets: /./,
		});
		t.true(less.error > 0.1 && less.error < 1, String(less.error));
	});
}

test("modules are named as PEFT names them", (t) => {
	const names = findSites(torchLike()).map((s) => `${s.kind} ${s.module}`);
	t.deepEqual(names, [
		"embedding embed",
		"matmul encoder.layers.0.linear",
		"matmul encoder.layers.1.proj",
		"gemm head",
	]);
	t.deepEqual(
		findSites(tied()).map((s) => s.module),
		["wte", "wte.matmul"],
	);
	t.is(fromNodeName("/layer1/layer1.0/conv1/Conv"), "layer1.0.conv1");
	t.is(fromNodeName("MatMul_12"), undefined);
	const said = findSites(torchLike(), {
		"onnx::MatMul_123": "a.b",
		"head.weight": "c",
	});
	t.deepEqual(said.map((s) => s.module).slice(2), ["a.b", "c"]);
	// A bias tells more than a node's name.
	const b = new GraphBuilder(emptyGraph("bias"));
	const x = b.input("x", "float32", [1, 2]);
	const h = b.matmul(x, b.weight("onnx::MatMul_7", noise([2, 2], 1)));
	b.output(b.add(b.weight("deep.fc.bias", noise([2], 1)), h), "y");
	t.is(findSites(b.graph)[0]?.module, "deep.fc");
});

test("targets: the end of a path, globs, expressions; ranks and alphas by pattern", (t) => {
	const chosen = (targets: LoraOptions["targets"]) =>
		injectLora(torchLike(), { ...OPTIONS, targets }).sites.map((s) => s.module);
	t.deepEqual(chosen("proj"), ["encoder.layers.1.proj"]);
	t.deepEqual(chosen("encoder.*"), [
		"encoder.layers.0.linear",
		"encoder.layers.1.proj",
	]);
	t.deepEqual(chosen(["/^head$/", "embed"]), ["embed", "head"]);
	t.throws(() => chosen("ro"), {
		code: "E_MODEL",
		message: /no weight matches ro; the model's are: embed, /,
	} as never);
	t.throws(() => chosen("/(/"), { code: "E_USAGE" } as never);
	const { sites } = injectLora(torchLike(), {
		...OPTIONS,
		rsLora: false,
		rankPattern: { "layers\\.\\d+\\.linear": 2, head: 4 },
		alphaPattern: { head: 16 },
	});
	t.deepEqual(
		sites.map((s) => [s.rank, s.scale]),
		[
			[3, 5 / 3],
			[2, 2.5],
			[3, 5 / 3],
			[4, 4],
		],
	);
	t.throws(() => injectLora(torchLike(), { ...OPTIONS, rank: 0 }), {
		code: "E_USAGE",
	} as never);
});

test("a Conv with groups takes a pair whose rank is a multiple of them", (t) => {
	const b = new GraphBuilder(emptyGraph("grouped"));
	const x = b.input("x", "float32", ["B", 4, 8]);
	b.output(
		b.op("Conv", [x, b.weight("dw.weight", noise([4, 1, 3], 1))], { group: 4 }),
		"y",
	);
	t.throws(() => injectLora(b.graph, { ...OPTIONS, rank: 3 }), {
		code: "E_MODEL",
		message: /dw has 4 groups/,
	} as never);
	const { graph, trainable } = injectLora(b.graph, { ...OPTIONS, rank: 8 });
	t.deepEqual(
		trainable.map((name) => graph.initializers.get(name)?.dims),
		[
			[8, 4, 3],
			[4, 2, 1],
		],
	);
});

test("a ConvTranspose takes a pair where it is named, and without groups", (t) => {
	for (const targets of ["*", ["*"]])
		t.throws(() => injectLora(transposed(1), { ...OPTIONS, targets }), {
			code: "E_MODEL",
			message: /no weight matches/,
		} as never);
	const { graph, trainable, sites } = injectLora(transposed(1), {
		...OPTIONS,
		targets: "up",
	});
	t.is(sites[0]?.kind, "conv-transpose");
	const shapes = trainable.map((n) => graph.initializers.get(n)?.dims);
	t.deepEqual(shapes, [
		[3, 3, 4],
		[5, 3, 1],
	]);
	// Kept as a Conv's pair: A [r, in, kernel].
	const kept = toPeft(graph.initializers, sites);
	const a = kept.get("base_model.model.body.up.lora_A.weight") as Tensor;
	const own = graph.initializers.get(trainable[0] as string) as Tensor;
	t.deepEqual(a.dims, [3, 3, 4]);
	t.is(a.data[4], own.data[12]);
	const tuned = transposed(1);
	tuned.initializers.set("body.up.weight", noise([3, 5, 4], 60));
	t.throws(() => extractLora(transposed(1), tuned, { rank: 2 }), {
		code: "E_MODEL",
	} as never);
	const grouped = transposed(1);
	for (const n of grouped.nodes) n.attrs.group = { kind: "int", value: 3 };
	t.deepEqual(findSites(grouped), []);
});

test("a folder keeps an adapter with patterns, and PEFT's shapes", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-peft-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const o = { ...OPTIONS, rankPattern: { head: 2 }, alphaPattern: { head: 9 } };
	const adapter = adapterOf(torchLike(), o);
	t.deepEqual(
		[...adapter.tensors].map(
			([k, v]) => `${k.replace("base_model.model.", "")} ${v.dims}`,
		),
		[
			"embed.lora_embedding_A 3,11",
			"embed.lora_embedding_B 8,3",
			"encoder.layers.0.linear.lora_A.weight 3,8",
			"encoder.layers.0.linear.lora_B.weight 5,3",
			"encoder.layers.1.proj.lora_A.weight 3,5",
			"encoder.layers.1.proj.lora_B.weight 4,3",
			"head.lora_A.weight 2,24",
			"head.lora_B.weight 7,2",
		],
	);
	t.is(
		adapterOf(conv(2))
			.tensors.get("base_model.model.body.conv.lora_B.weight")
			?.dims.join(),
		"4,3,1,1",
	);
	await writePeft(dir, adapter.tensors, o, ["embed", "head"], "m");
	const read = await readPeft(dir);
	t.deepEqual(read.tensors, adapter.tensors);
	t.deepEqual(
		pairsOf(read).map((p) => p.scale),
		[5 / Math.sqrt(3), 5 / Math.sqrt(3), 5 / Math.sqrt(3), 9 / Math.sqrt(2)],
	);
	const config = JSON.parse(
		await readFile(join(dir, "adapter_config.json"), "utf8"),
	);
	t.like(config, {
		peft_type: "LORA",
		r: 3,
		lora_alpha: 5,
		use_rslora: true,
		bias: "none",
		lora_dropout: 0,
		target_modules: ["embed", "head"],
	});
});

test("modules that an adapter brings whole take the place of the model's", async (t) => {
	const graph = torchLike();
	const adapter = adapterOf(graph, { ...OPTIONS, targets: /encoder/ });
	const { initializers } = mergeAdapter(graph, adapter).graph;
	// PEFT keeps a linear layer as [out, in], whatever the graph does.
	const weight = noise([7, 24], 90);
	const bias = noise([7], 91);
	adapter.saved = ["head"];
	adapter.tensors.set("base_model.model.head.weight", weight);
	adapter.tensors.set("base_model.model.head.bias", bias);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-peft-"));
	t.teardown(() => rm(dir, { recursive: true }));
	await writePeft(dir, adapter.tensors, OPTIONS, ["encoder", "head"], "m");
	t.deepEqual((await readPeft(dir)).saved, ["head"]);
	const merged = mergeAdapter(graph, adapter).graph;
	const beside = attachLora(graph, adapter).graph;
	t.true(gap(await run(merged, IDS), await run(beside, IDS)) < 1e-5);
	const site = findSites(graph).find((s) => s.module === "head");
	const placed = merged.initializers.get(site?.weight ?? "") as Tensor;
	t.deepEqual(site?.transposed ? placed : turned(placed), weight);
	t.deepEqual(merged.initializers.get("head.bias"), bias);
	for (const [name, tensor] of merged.initializers)
		if (name !== site?.weight && name !== "head.bias")
			t.deepEqual(tensor, initializers.get(name));
	adapter.tensors.set("base_model.model.head.weight", noise([7, 23], 90));
	t.throws(() => mergeAdapter(graph, adapter), {
		code: "E_MODEL",
		message: /the adapter's .* is \[/,
	} as never);
	adapter.saved = ["tail"];
	adapter.tensors.set("base_model.model.tail.weight", weight);
	adapter.tensors.delete("base_model.model.head.weight");
	adapter.tensors.delete("base_model.model.head.bias");
	t.throws(() => mergeAdapter(graph, adapter), {
		code: "E_MODEL",
		message: /no tail.weight/,
	} as never);
});

test("adapters are found by the end of their path; what does not fit is named", async (t) => {
	const adapter = adapterOf(torchLike());
	const moved = (f: (key: string) => string): Adapter => ({
		...adapter,
		tensors: new Map([...adapter.tensors].map(([k, v]) => [f(k), v])),
	});
	const deeper = moved((k) =>
		k.replace("base_model.model.", "base_model.model.model."),
	);
	const want = await run(mergeAdapter(torchLike(), adapter).graph, IDS);
	t.is(gap(await run(mergeAdapter(torchLike(), deeper).graph, IDS), want), 0);
	const other = moved((k) => k.replace("head", "tail"));
	t.throws(() => mergeAdapter(torchLike(), other), {
		code: "E_MODEL",
		message: /no tail .* embed, /,
	} as never);
	t.is(mergeAdapter(torchLike(), other, { partial: true }).merged.length, 3);
	const [key] = [...adapter.tensors.keys()];
	const wrong = {
		...adapter,
		tensors: new Map(adapter.tensors).set(key as string, noise([3, 12], 1)),
	};
	t.throws(() => attachLora(torchLike(), wrong), {
		code: "E_MODEL",
		message:
			/embed is A \[3,12\].*embedding weight embed.weight takes \[11\] to \[8\]/,
	} as never);
	const half = { ...adapter, tensors: new Map([...adapter.tensors].slice(1)) };
	t.throws(() => attachLora(torchLike(), half), {
		code: "E_FILE_FORMAT",
		message: /lacks lora_A of embed/,
	} as never);
	const magnitude = {
		...adapter,
		tensors: new Map(adapter.tensors).set(
			"base_model.model.head.lora_magnitude_vector",
			noise([7], 1),
		),
	};
	t.throws(() => attachLora(torchLike(), magnitude), {
		code: "E_FILE_FORMAT",
		message: /magnitude/,
	} as never);
});

test("a change that no pair holds is told", (t) => {
	const tuned = torchLike();
	tuned.initializers.set("head.bias", noise([7], 77));
	t.throws(() => extractLora(torchLike(), tuned, { rank: 2 }), {
		code: "E_MODEL",
	} as never);
	tuned.initializers.set("head.weight", noise([7, 24], 78));
	const { left, modules } = extractLora(torchLike(), tuned, { rank: 2 });
	t.deepEqual(left.names, ["head.bias"]);
	t.true(left.share > 0.05 && left.share < 0.9);
	t.deepEqual(
		modules.map((m) => m.module),
		["head"],
	);
	tuned.initializers.set("head.weight", noise([24, 7], 78));
	t.throws(() => extractLora(torchLike(), tuned, { rank: 2 }), {
		code: "E_MODEL",
		message: /head.weight is \[7,24\]/,
	} as never);
});

test("the decomposition is orthonormal, and hardly any pair of its rank is closer", (t) => {
	t.notThrows(() =>
		fc.assert(
			fc.property(
				fc.integer({ min: 1, max: 30 }),
				fc.integer({ min: 1, max: 30 }),
				fc.integer({ min: 1, max: 6 }),
				fc.nat(),
				(rows, cols, rank, seed) => {
					const m = noise([rows, cols], seed).data as Float32Array;
					const { u, s, vt } = truncatedSvd(m, rows, cols, rank);
					const r = s.length;
					for (let a = 0; a < r; a++)
						for (let b = 0; b < r; b++) {
							let [uu, vv] = [0, 0];
							for (let i = 0; i < rows; i++)
								uu += (u[i * r + a] ?? 0) * (u[i * r + b] ?? 0);
							for (let j = 0; j < cols; j++)
								vv += (vt[a * cols + j] ?? 0) * (vt[b * cols + j] ?? 0);
							const want = a === b ? 1 : 0;
							if (Math.abs(uu - want) > 1e-8 || Math.abs(vv - want) > 1e-8)
								return false;
						}
					// What is left is the sum of the squares of the values that were cut off.
					const all = truncatedSvd(m, rows, cols, Math.min(rows, cols)).s;
					let [left, cut] = [0, 0];
					for (let i = 0; i < rows; i++)
						for (let j = 0; j < cols; j++) {
							let v = m[i * cols + j] ?? 0;
							for (let k = 0; k < r; k++)
								v -=
									(u[i * r + k] ?? 0) * (s[k] ?? 0) * (vt[k * cols + j] ?? 0);
							left += v * v;
						}
					for (let k = r; k < all.length; k++) cut += (all[k] ?? 0) ** 2;
					return left <= cut * 1.05 + 1e-9;
				},
			),
			{ numRuns: 60 },
		),
	);
});
