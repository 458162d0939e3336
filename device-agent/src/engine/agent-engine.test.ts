// The agent with TensorRT: real processes, a real broker, and the stand-in for TensorRT, which is ONNX
// Runtime behind the shim's ABI and lies when it is told to.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FolderStore, newKey, trustKeys, writeBundle } from "@wattvox/bundle";
import { createLog } from "@wattvox/core";
import { Broker, publish, StoreServer } from "@wattvox/fleet";
import type { Reported } from "@wattvox/link";
import { type Lie, lie, standIn } from "@wattvox/runtime/testing";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test, { type ExecutionContext } from "ava";
import { Agent } from "../agent.ts";
import type { AgentOptions } from "../options.ts";
import { EngineCache } from "./engine-cache.ts";

// They would only slow each other down side by side.
const it = test.serial;

async function house(t: ExecutionContext, ...lies: Lie[]) {
	t.timeout(600_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-agent-engine-"));
	const broker = await Broker.start({ port: 0 });
	const store = new FolderStore(join(dir, "store"));
	const server = new StoreServer({
		source: store,
		broker: { url: broker.url },
	});
	await server.start();
	const key = newKey();
	const trust = trustKeys([key.publicKey]);
	const shim = await standIn(...lies);
	const ends: (() => Promise<unknown>)[] = [
		() => rm(dir, { recursive: true, force: true }),
		() => broker.stop(),
		() => server.stop(),
	];
	t.teardown(async () => {
		for (const end of ends.reverse()) await end();
	});
	let revision = 0;
	return {
		shim,
		cache: new EngineCache(join(dir, "d1", "engines")),
		async voice(name: string, adapterSeed?: number) {
			const files = tinyVoice({
				name,
				...(adapterSeed !== undefined && { adapterSeed }),
			});
			const voice = await Voice.load(files);
			const golden = await makeGolden(voice, ["All is well."], BASE_MEL);
			await voice.dispose();
			const path = join(dir, `bundle-${name}`);
			const { digest } = await writeBundle(
				path,
				tinyBundle.sources(files, golden),
				tinyBundle.meta(name),
				key,
			);
			await publish(path, store, {
				fleet: "f",
				devices: ["d1"],
				key,
				trust,
				broker: { url: broker.url },
				revision: ++revision,
			});
			return digest;
		},
		async agent(options: Partial<AgentOptions> = {}) {
			const agent = new Agent({
				broker: { url: broker.url, reconnectMs: { base: 20, max: 100 } },
				fleet: "f",
				device: "d1",
				dataDir: join(dir, "d1"),
				trust,
				port: 0,
				limits: { realTimeFactor: 1000 },
				retryMs: { base: 50, max: 200 },
				log: createLog("agent", { level: "silent" }),
				engine: { shim, precision: "fp32" },
				...options,
			});
			await agent.start();
			ends.push(() => agent.stop());
			return agent;
		},
	};
}

async function say(agent: Agent) {
	const reply = await fetch(`${agent.url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: "Good morning.", response_format: "pcm" }),
	});
	const bundle = reply.headers.get("x-wattvox-bundle");
	const pcm = new Int16Array(await reply.arrayBuffer());
	return { status: reply.status, bundle, pcm };
}

async function until(
	agent: Agent,
	met: (r: Reported) => boolean,
): Promise<Reported> {
	for (;;) {
		const now = agent.status().reported;
		if (met(now)) return now;
		await new Promise((resolve) => agent.once("reported", resolve));
	}
}

const byTensorrt = (bundle: string) => (r: Reported) =>
	r.bundle === bundle && r.runtime?.name === "tensorrt";
const refused = (bundle: string) => (r: Reported) =>
	r.bundle === bundle && r.runtime?.reason !== undefined;

it("a voice speaks at once on ONNX Runtime, then by its engine; another voice of the base refits it", async (t) => {
	const { agent: start, voice, cache } = await house(t);
	const agent = await start();
	const anna = await voice("anna", 3);
	await until(agent, byTensorrt(anna));
	const first = await say(agent);
	t.is(first.bundle, anna);
	const { engine } = agent.status().speaker;
	t.is((await cache.list())[0]?.id ?? null, engine);

	const berta = await voice("berta", 4);
	await agent.speaksWith(berta);
	await until(agent, byTensorrt(berta));
	const second = await say(agent);
	t.is(agent.status().speaker.engine, engine, "the same engine");
	t.is((await cache.list()).length, 1, "nothing was built again");
	t.notDeepEqual(second.pcm, first.pcm);

	// After a restart it is tried again, not built.
	await agent.stop();
	const again = await start();
	await until(again, byTensorrt(berta));
	const third = await say(again);
	t.is(third.pcm.length, second.pcm.length);
	t.true(third.pcm.every((s, i) => Math.abs(s - (second.pcm[i] ?? 0)) <= 1));
	t.is((await cache.list()).length, 1);

	// Without TensorRT the same voice makes the same sound.
	await again.stop();
	const plain = await start({ engine: undefined });
	await plain.speaksWith(berta);
	t.deepEqual(plain.status().reported.runtime, { name: "onnxruntime" });
	const fourth = await say(plain);
	t.is(fourth.pcm.length, second.pcm.length);
	t.true(fourth.pcm.every((s, i) => Math.abs(s - (second.pcm[i] ?? 0)) <= 2));
});

it("an engine that computes something else: the voice speaks on ONNX Runtime, and the fleet hears why", async (t) => {
	const { agent: start, voice } = await house(t, "wrong");
	const agent = await start();
	const anna = await voice("anna", 3);
	const { state, runtime } = await until(agent, refused(anna));
	t.is(state, "active");
	t.is(runtime?.name, "onnxruntime");
	t.is(runtime?.reason?.code, "E_ENGINE_DIFFERS");
	t.is((await say(agent)).status, 200);
	t.is(agent.status().speaker.restarts, 0, "nothing happened to the speaker");
});

it("an engine that crashes in the speaker is given up; the voice goes on", async (t) => {
	const { agent: start, voice, shim } = await house(t);
	const agent = await start();
	const anna = await voice("anna", 3);
	await until(agent, byTensorrt(anna));
	await lie(shim, "crash-run");
	await say(agent).catch(() => undefined);
	const { runtime } = await until(agent, refused(anna));
	t.is(runtime?.reason?.code, "E_ENGINE_CRASH");
	await until(agent, (r) => r.state === "active");
	t.is((await say(agent)).status, 200);
	t.is(agent.status().speaker.restarts, 1);
});

it("an update breaks off a build that takes long", async (t) => {
	const { agent: start, voice, shim } = await house(t, "endless-build");
	const agent = await start();
	const anna = await voice("anna", 3);
	await agent.speaksWith(anna);
	const berta = await voice("berta", 4);
	await agent.speaksWith(berta);
	t.is((await say(agent)).bundle, berta);
	// The build for berta is under way now and ends by itself once TensorRT behaves.
	await lie(shim);
	const carla = await voice("carla", 5);
	await until(agent, byTensorrt(carla));
	t.is((await say(agent)).bundle, carla);
});
