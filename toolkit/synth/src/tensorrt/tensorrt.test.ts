import { decodeModel } from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import test from "ava";
import type { Golden } from "../golden.ts";
import { spellingFrontend, tinyVoice } from "../testing.ts";
import { Voice } from "../voice.ts";
import { decoderModel } from "./decoder-model.ts";
import { engineGap, type GoldenRun, goldenRuns } from "./golden-runs.ts";

const golden = {
	sentences: [
		{ text: "Hello there, you.", seed: 3 },
		{ text: "No.", seed: 1 },
	],
} as unknown as Golden;
const frontend = spellingFrontend;

test("a voice's decoder for TensorRT computes what the voice's decoder does, on fixed shapes", async (t) => {
	const files = tinyVoice({ adapterSeed: 5 });
	const runs = await goldenRuns(files, golden, { frontend });
	t.true(runs.length > 2);
	for (const version of ["8.5.2.2", "10.3.0.26"]) {
		const model = await decoderModel(files, version);
		const rows = files.config.chunk + 2 * files.config.halo;
		t.deepEqual(
			model.ports.inputs.map((p) => [p.name, p.shape]),
			[
				["content", [1, rows, 256]],
				["position", [1, rows, 3]],
				["noise", [1, rows, 4]],
				["speaker", [1, 192]],
			],
		);
		t.deepEqual(model.ports.outputs, [
			{ name: "wave", dtype: "float32", shape: [1, rows * files.config.hop] },
		]);
		const engine = await createEngine(model.merged);
		const made: Float32Array[] = [];
		for (const { feeds } of runs)
			made.push((await engine.run(feeds)).wave?.data as Float32Array);
		t.true(engineGap(runs, made).errorDb < -80);
		await engine.dispose();
	}
});

test("voices of one base share its model; the weights make the difference", async (t) => {
	const of = (adapterSeed?: number) =>
		decoderModel(
			tinyVoice(adapterSeed === undefined ? {} : { adapterSeed }),
			"10.3.0",
		);
	const [plain, one, two] = await Promise.all([of(), of(5), of(6)]);
	t.deepEqual(one?.base, two?.base);
	t.deepEqual(plain?.merged, one?.base);
	t.notDeepEqual(one?.merged, two?.merged);
	t.notDeepEqual(one?.weights, two?.weights);
	t.deepEqual([plain?.changed, one?.changed], [[], ["vocoder.out.w"]]);
	// The weights put into the base's model give the merged one.
	const graph = decodeModel(one?.base as Uint8Array);
	for (const [name, weight] of Object.entries(one?.weights ?? {}))
		graph.initializers.set(name, weight as never);
	t.deepEqual(
		graph.initializers,
		decodeModel(one?.merged as Uint8Array).initializers,
	);
});

test("a decoder that this TensorRT cannot take is refused before it is built", async (t) => {
	const files = tinyVoice();
	const graph = decodeModel(files.decoder);
	const tanh = graph.nodes.find((n) => n.op === "Tanh");
	if (tanh) tanh.op = "Mish";
	const { encodeModel } = await import("@wattvox/onnx");
	const odd = { ...files, decoder: encodeModel(graph) };
	await t.throwsAsync(decoderModel(odd, "8.5.2"), {
		code: "E_TENSORRT_OP",
		message: /8\.5.*Mish/,
	});
});

test("a voice speaks with a decoder that it is given, and frees it", async (t) => {
	const files = tinyVoice({ adapterSeed: 5 });
	const { merged } = await decoderModel(files, "10.3.0");
	const voice = await Voice.load(files, { frontend });
	const given = await Voice.load(files, {
		frontend,
		decoder: await createEngine(merged),
	});
	const [a, b] = await Promise.all(
		[voice, given].map((v) => v.speak("Hello.").samples()),
	);
	t.is(a?.length, b?.length);
	t.true(a?.every((s, i) => Math.abs(s - (b?.[i] ?? 9)) < 1e-4));
	await Promise.all([voice.dispose(), given.dispose()]);

	const decoder = await createEngine(merged);
	const { adapter: _, ...broken } = files;
	await t.throwsAsync(Voice.load(broken, { frontend, decoder }), {
		code: "E_FILE_MISSING",
	});
	await t.throwsAsync(decoder.run({}), { code: "E_BUG" });
});

test("the gap: none, by a tenth, by a number that is none, by a run that is missing", (t) => {
	const wave = Float32Array.of(0.5, -0.5, 0.25);
	const runs: GoldenRun[] = [{ feeds: {}, wave }];
	t.deepEqual(engineGap(runs, [wave]), {
		errorDb: Number.NEGATIVE_INFINITY,
		worst: 0,
	});
	const off = engineGap(runs, [wave.map((s) => s * 1.1)]);
	t.true(Math.abs(off.errorDb + 20) < 1e-4);
	t.true(Math.abs(off.worst - 0.05) < 1e-6);
	const far = {
		errorDb: Number.POSITIVE_INFINITY,
		worst: Number.POSITIVE_INFINITY,
	};
	t.deepEqual(engineGap(runs, [Float32Array.of(0.5, Number.NaN, 0.25)]), far);
	t.deepEqual(engineGap(runs, [wave.subarray(1)]), far);
	t.deepEqual(engineGap(runs, []), far);
	t.deepEqual(engineGap([], []), far);
	const silent = [{ feeds: {}, wave: new Float32Array(2) }];
	t.is(
		engineGap(silent, [Float32Array.of(0.1, 0)]).errorDb,
		Number.POSITIVE_INFINITY,
	);
});
