import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { WattvoxError } from "@wattvox/core";
import { decodeModel, encodeModel } from "@wattvox/onnx";
import { createEngine, type Engine } from "@wattvox/runtime";
import type { TensorRt, TrtEngine } from "@wattvox/runtime/tensorrt";
import { decoderModel } from "@wattvox/synth/tensorrt";
import {
	spellingFrontend as frontend,
	tinyBundle,
	tinyVoice,
} from "@wattvox/synth/testing";
import test, { type ExecutionContext } from "ava";
import { loadVoice } from "./load-voice.ts";
import type { VoiceAt } from "./messages.ts";

/** A voice with an adapter in a folder, and a refitted copy of its base's engine: the model itself. */
async function house(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-load-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const files = tinyVoice({ adapterSeed: 4 });
	for (const s of tinyBundle.sources(files))
		if ("bytes" in s && s.bytes) await writeFile(join(dir, s.name), s.bytes);
	const model = await decoderModel(files, "10.3.0");
	const put = async (name: string, bytes: Uint8Array) => {
		const path = join(dir, name);
		await writeFile(path, bytes);
		const sha256 = createHash("sha256").update(bytes).digest("hex");
		return { path, sha256, size: bytes.length };
	};
	const graph = decodeModel(model.base);
	for (const [name, w] of Object.entries(model.weights))
		graph.initializers.set(name, w as never);
	const plan = await put("engine.plan", encodeModel(graph));
	const at: VoiceAt = {
		digest: "a".repeat(64),
		dir,
		engine: { id: "e", ...plan, ports: model.ports },
	};
	return { dir, at };
}

/** TensorRT made up: an engine is a model, which ONNX Runtime runs. */
function madeUp(lie: { open?: string; load?: string; run?: string } = {}) {
	const fail = (code: string | undefined) => {
		if (code) throw new WattvoxError(code as "E_BUG", "made up");
	};
	let open = 0;
	let closed = 0;
	const engineOf = async (bytes: Uint8Array): Promise<TrtEngine> => {
		fail(lie.load);
		const inner: Engine = await createEngine(bytes);
		open++;
		return {
			inputs: inner.inputs,
			outputs: inner.outputs,
			tensors: [],
			refittable: [],
			refit: () => Promise.reject(new Error("it was refitted here")),
			serialize: () => Promise.reject(new Error("it was serialised here")),
			async run(feeds, options) {
				fail(lie.run);
				return inner.run(feeds, options);
			},
			async dispose() {
				open--;
				await inner.dispose();
			},
		};
	};
	const tensorrt = async (shim: string): Promise<TensorRt> => {
		if (shim !== "shim.so") fail("E_TENSORRT");
		fail(lie.open);
		return {
			facts: {} as TensorRt["facts"],
			deserialize: engineOf,
			lastLog: () => [],
			async close() {
				closed++;
			},
		};
	};
	return {
		options: { threads: 1, tensorrt: "shim.so", open: tensorrt, frontend },
		open: () => open,
		closed: () => closed,
	};
}

test("a voice speaks by its engine as it does without", async (t) => {
	const { at } = await house(t);
	const { engine: _, ...without } = at;
	const trt = madeUp();
	const plain = await loadVoice(without, trt.options);
	const fast = await loadVoice(at, trt.options);
	t.deepEqual([plain.runtime, fast.runtime], ["onnxruntime", "tensorrt"]);
	t.is(fast.trouble, undefined);
	const [a, b] = [
		await plain.voice.speak("Hello.").samples(),
		await fast.voice.speak("Hello.").samples(),
	];
	t.is(a.length, b.length);
	t.true(a.every((s, i) => Math.abs(s - (b[i] ?? 9)) < 1e-4));
	t.is(trt.closed(), 1);
	await Promise.all([plain.voice.dispose(), fast.voice.dispose()]);
	t.is(trt.open(), 0);
});

for (const [what, lie, code] of [
	["TensorRT does not start", { open: "E_TENSORRT" }, "E_TENSORRT"],
	["it cannot be opened", { load: "E_ENGINE_LOAD" }, "E_ENGINE_LOAD"],
	["it does not run", { run: "E_MEMORY" }, "E_MEMORY"],
] as const)
	test(`where ${what}, the voice speaks on ONNX Runtime and says so`, async (t) => {
		const { at } = await house(t);
		const trt = madeUp(lie);
		const { voice, runtime, trouble } = await loadVoice(at, trt.options);
		t.is(runtime, "onnxruntime");
		t.is(trouble?.code, code);
		t.true((await voice.speak("Hello.").samples()).length > 0);
		await voice.dispose();
		t.is(trt.open(), 0, "the engine is freed");
	});

test("bytes that were not tried are never opened", async (t) => {
	const { at, dir } = await house(t);
	const trt = madeUp();
	const none = { ...trt.options, tensorrt: null };
	const without = await loadVoice(at, none);
	t.is(without.trouble?.code, "E_TENSORRT");
	await without.voice.dispose();

	await writeFile(join(dir, "engine.plan"), "something else");
	const { voice, trouble } = await loadVoice(at, trt.options);
	t.is(trouble?.code, "E_TAMPERED");
	t.is(trt.closed(), 0, "TensorRT was not even started");
	await voice.dispose();
});

test("a voice whose thread dies is said to be dead; one that dies while it loads does not load", async (t) => {
	const { dir, at } = await house(t);
	const flag = join(dir, "die");
	const script = join(dir, "thread.mjs");
	await writeFile(
		script,
		`import { existsSync } from "node:fs";
const look = () => {
	if (existsSync(${JSON.stringify(flag)})) throw new Error("made up");
};
look();
setInterval(look, 1);
await import(${JSON.stringify(import.meta.resolve("@wattvox/runtime"))}.replace("index.js", "worker.js"));`,
	);
	const deaths: string[] = [];
	let died: () => void = () => undefined;
	const dead = new Promise<void>((resolve) => {
		died = resolve;
	});
	const options = {
		...{ threads: 1, tensorrt: null, frontend },
		script: pathToFileURL(script),
		onDeath({ code, message }: { code: string; message: string }) {
			deaths.push(`${code}: ${message}`);
			died();
		},
	};
	const { digest } = at;
	const { voice } = await loadVoice({ digest, dir }, options);
	t.true((await voice.speak("Hello.").samples()).length > 0);
	await writeFile(flag, "");
	await dead;
	t.deepEqual(deaths, ["E_BUG: the engine's thread ended: made up"]);
	await t.throwsAsync(voice.speak("Hello.").samples(), { code: "E_MODEL" });
	await t.throwsAsync(loadVoice({ digest, dir }, options), {
		message: /thread ended: made up/,
	});
	t.is(deaths.length, 1);
	await voice.dispose();
});
