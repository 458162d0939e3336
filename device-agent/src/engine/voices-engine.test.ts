// Voices beside the active one by TensorRT: real processes, a real broker, and the stand-in for TensorRT.
import { once } from "node:events";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { lie } from "@wattvox/runtime/testing";
import test from "ava";
import type { Agent } from "../agent.ts";
import type { ListedVoice } from "../speaker/voice-choice.ts";
import { byTensorrt, house, say, until } from "./_house.test.ts";

// They would only slow each other down side by side.
const it = test.serial;

/** The engine that a voice has, as the status says it. */
const engineOf = (agent: Agent, bundle: string) =>
	agent.status().voices?.find((v) => v.bundle === bundle)?.engine;

/** What the speech service lists. */
async function listed(agent: Agent): Promise<ListedVoice[]> {
	const reply = await fetch(`${agent.url}/v1/voices`);
	return ((await reply.json()) as { voices: ListedVoice[] }).voices;
}

/** Sizes of a voice's graphs on the disk. */
async function graphs({ dir }: { dir: string }, bundle: string) {
	const size = async (graph: string) =>
		(await stat(join(dir, "..", "voices", bundle, `${graph}.onnx`))).size;
	return { text: await size("text"), decoder: await size("decoder") };
}

/** Waits until the status says so. */
async function hasEngine(agent: Agent, bundle: string, engine: string | null) {
	while (engineOf(agent, bundle) !== engine) await once(agent, "reported");
}

it("a voice beside the active one speaks by its engine; one that crashes costs that voice its engine alone", async (t) => {
	const { agent: start, voice, shim, cache } = await house(t);
	const first = await start();
	const anna = await voice("anna", 3);
	await until(first, byTensorrt(anna));
	const { engine } = first.status().speaker;
	const active = await say(first);
	const berta = await voice("berta", 4);
	await until(first, byTensorrt(berta));
	const beside = await say(first, "anna");
	t.is(beside.bundle, anna);
	t.deepEqual(beside.pcm, active.pcm);
	await hasEngine(first, anna, engine);
	const [entry] = await cache.list();
	const copies = entry ? await cache.listRefitted(entry) : [];
	const copy = copies.find((c) => c.key.voice === anna)?.size ?? 0;
	const { text } = await graphs(cache, anna);
	t.deepEqual(
		(await listed(first)).map((v) => [v.bundle, v.runtime, v.engine, v.bytes]),
		[
			[berta, "tensorrt", engine, null],
			[anna, "tensorrt", engine, text * 5 + copy * 3],
		],
	);
	await first.stop();

	// After a restart what the cache has is tried again, and neither built nor refitted.
	await lie(shim, "crash-build", "crash-refit");
	const agent = await start();
	await until(agent, byTensorrt(berta));
	await hasEngine(agent, anna, engine);
	t.deepEqual((await say(agent, "anna")).pcm, active.pcm);
	t.is(engineOf(agent, anna), engine);

	await lie(shim, "crash-run");
	await say(agent, "anna").catch(() => undefined);
	await hasEngine(agent, anna, null);
	await lie(shim);
	await until(agent, byTensorrt(berta));
	const plain = await say(agent, "anna");
	t.deepEqual([plain.status, plain.bundle], [200, anna]);
	t.is(engineOf(agent, anna), null);
	t.is((await say(agent)).bundle, berta);
	t.is(agent.status().speaker.engine, engine, "the active voice keeps its own");
	t.is(agent.status().speaker.restarts, 1);
});

it("a voice beside the active one whose engine is not what was tried speaks on ONNX Runtime", async (t) => {
	const { agent: start, voice, cache } = await house(t);
	const agent = await start();
	const anna = await voice("anna", 3);
	await until(agent, byTensorrt(anna));
	const berta = await voice("berta", 4);
	await until(agent, byTensorrt(berta));
	await hasEngine(agent, anna, agent.status().speaker.engine);
	const [entry] = await cache.list();
	const copies = entry ? await cache.listRefitted(entry) : [];
	const copy = copies.find((c) => c.key.voice === anna);
	await writeFile(copy?.path ?? "", "something else");
	const said = await say(agent, "anna");
	t.deepEqual([said.status, said.bundle], [200, anna]);
	await hasEngine(agent, anna, null);
	const { text, decoder } = await graphs(cache, anna);
	const beside = (await listed(agent)).find((v) => v.bundle === anna);
	t.like(beside, { runtime: "onnxruntime", engine: null });
	t.is(beside?.bytes, (text + decoder) * 5);
	t.is(agent.status().speaker.restarts, 0);
	t.is(agent.status().reported.runtime?.name, "tensorrt");
});
