// The agent with TensorRT: real processes, a real broker, and the stand-in for TensorRT, which is ONNX
// Runtime behind the shim's ABI and lies when it is told to.
import { lie } from "@wattvox/runtime/testing";
import test from "ava";
import { byTensorrt, house, refused, say, until } from "./_house.test.ts";

// They would only slow each other down side by side.
const it = test.serial;

it("a voice speaks at once on ONNX Runtime, then by its engine; another voice of the base refits it", async (t) => {
	const { agent: start, voice, cache, shim } = await house(t);
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

	// After a restart it is tried again, neither built nor refitted: that would crash now, here and in the
	// speaker.
	await agent.stop();
	await lie(shim, "crash-refit", "crash-build");
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

it("a refit that crashes, where no other engine can be built: the voice speaks on ONNX Runtime", async (t) => {
	const { agent: start, voice, shim } = await house(t);
	const agent = await start();
	const base = await voice("base");
	await until(agent, byTensorrt(base));
	await lie(shim, "crash-refit", "crash-build");
	const anna = await voice("anna", 3);
	const { runtime } = await until(agent, refused(anna));
	t.is(runtime?.reason?.code, "E_ENGINE_CRASH");
	const said = await say(agent);
	t.deepEqual([said.status, said.bundle], [200, anna]);
	t.is(agent.status().speaker.restarts, 0, "it crashed elsewhere");
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
