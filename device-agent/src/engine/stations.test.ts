// A build station and its siblings: real agents, a real broker and the stand-in for TensorRT. A sibling's
// own build never ends where a test is to show that it did not build.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { hashBytes, signEngine, trustKeys } from "@wattvox/bundle";
import type { Reported } from "@wattvox/link";
import { standIn } from "@wattvox/runtime/testing";
import test from "ava";
import { jetson } from "../joules/_sysfs.test.ts";
import { formatStatus } from "../status.ts";
import { byTensorrt, house, refused, say, until } from "./_house.test.ts";

const it = test.serial;

it("a station builds, signs and brings its engine to the store; a sibling speaks by it and builds none", async (t) => {
	const h = await house(t);
	const station = await h.agent({ builder: h.builder });
	const both = ["d1", "d2"];
	const anna = await h.voice("anna", 3, both);
	await until(station, byTensorrt(anna));
	const said = await h.verdict();
	t.true(said.held);
	t.deepEqual(await h.store.engines.names(), [said.engine]);
	t.is(station.status().speaker.engine, said.engine);

	const shim = await standIn("endless-build");
	const sibling = await h.agent({
		device: "d2",
		engine: { shim, precision: "fp32" },
	});
	await until(sibling, byTensorrt(anna));
	const [entry] = await h.cacheOf("d2").list();
	t.deepEqual(entry?.origin, { kind: "signed", key: h.builder.id });
	t.is(sibling.status().speaker.engine, said.engine);
	const [mine, theirs] = [await say(sibling), await say(station)];
	t.is(mine.bundle, anna);
	t.deepEqual(mine.pcm, theirs.pcm);

	// Another voice of the base refits the same engine: nothing is built, pulled or offered again.
	const berta = await h.voice("berta", 4, both);
	await until(sibling, byTensorrt(berta));
	await until(station, byTensorrt(berta));
	t.is((await h.cacheOf("d2").list()).length, 1);
	t.is(h.verdicts.length, 1);

	// After a restart the station says once more that it has it; nothing is sent.
	await station.stop();
	const again = await h.agent({ builder: h.builder });
	await until(again, byTensorrt(berta));
	t.true((await h.verdict(1)).held);
});

it("what comes damaged is not taken, and the sibling builds its own; so where the signer is not trusted any more", async (t) => {
	const h = await house(t);
	const station = await h.agent({ builder: h.builder });
	const anna = await h.voice("anna", 3, ["d1", "d2", "d3"]);
	await until(station, byTensorrt(anna));
	t.true((await h.verdict()).held);
	const [engine] = await h.cache.list();
	h.tap.change = (sha256, block) => {
		if (sha256 === engine?.sha256) block[9] = (block[9] ?? 0) ^ 1;
		return block;
	};
	const sibling = await h.agent({ device: "d2" });
	await until(sibling, byTensorrt(anna));
	const [own] = await h.cacheOf("d2").list();
	t.is(own?.origin.kind, "built");

	h.tap.change = (_, block) => block;
	const other = await h.agent({
		device: "d3",
		trust: trustKeys([h.key.publicKey]),
	});
	await until(other, byTensorrt(anna));
	t.is((await h.cacheOf("d3").list())[0]?.origin.kind, "built");
});

it("a device that builds none says what it waits for, and speaks by the engine as soon as the station brought it", async (t) => {
	const h = await house(t);
	const shim = await standIn("crash-build");
	const board = jetson(t, {});
	board.set(2, 50);
	const sibling = await h.agent({
		...{ device: "d2", deviceClass: "bench-board" },
		...{ hostRoot: board.root, power: board.source },
		joules: { open: board.open, meter: board.meter, clock: board.clock },
		engine: {
			...{ shim, precision: "fp32", pullOnly: true },
			// between two looks there is time to measure, on a busy machine too
			waitMs: { base: 500, max: 1000 },
		},
	});
	const anna = await h.voice("anna", 3, ["d1", "d2"]);
	const { state, runtime } = await until(sibling, refused(anna));
	t.is(runtime?.name, "onnxruntime");
	t.is(runtime?.reason?.code, "E_ENGINE_NONE");
	t.regex(
		runtime?.reason?.message ?? "",
		/^waits for engine [0-9a-f]{12} or [0-9a-f]{12} of a build station of class bench-board in store \S+;/,
	);
	t.is(state, "active");
	const measuredBy = (runtime: string) => (r: Reported) =>
		r.joules?.figure?.runtime === `${runtime}, 1 thread`;
	await until(sibling, measuredBy("onnxruntime"));
	t.is((await say(sibling)).bundle, anna);
	t.regex(
		formatStatus({ running: true, ...sibling.status() }),
		/^by +ONNX Runtime \(E_ENGINE_NONE: waits for engine/m,
	);

	const station = await h.agent({
		...{ builder: h.builder, deviceClass: "bench-board" },
	});
	await until(station, byTensorrt(anna));
	t.true((await h.verdict()).held);
	await until(sibling, byTensorrt(anna));
	const [entry] = await h.cacheOf("d2").list();
	t.deepEqual(entry?.origin, { kind: "signed", key: h.builder.id });
	// what it drew while it waited says nothing of the engine
	await until(sibling, measuredBy("tensorrt"));
	t.deepEqual((await say(sibling)).pcm, (await say(station)).pcm);
});

it("an engine that came and does not hold is asked for again when the station publishes another, and not before", async (t) => {
	const h = await house(t);
	const builds = await h.agent();
	const anna = await h.voice("anna", 3, ["d1", "d2"]);
	await until(builds, byTensorrt(anna));
	const [entry] = await h.cache.list();
	if (!entry) throw new Error("nothing was built");
	const { engines } = h.store;
	const publish = async (plan: Buffer) => {
		const file = hashBytes(plan);
		await mkdir(dirname(engines.planPath(file.sha256)), { recursive: true });
		await writeFile(engines.planPath(file.sha256), plan);
		await engines.put(signEngine(entry.key, file, h.builder));
		return file.sha256;
	};
	const bad = await publish(Buffer.from("signed, and no engine"));
	let sent = 0;
	h.tap.change = (sha256, block) => {
		if (sha256 === bad) sent++;
		return block;
	};
	const sibling = await h.agent({
		device: "d2",
		engine: {
			...{ shim: await standIn("crash-build"), precision: "fp32" },
			...{ pullOnly: true, waitMs: { base: 50, max: 200 } },
		},
	});
	const { runtime } = await until(
		sibling,
		(r) => r.runtime?.reason?.message.includes("E_ENGINE_LOAD") ?? false,
	);
	t.is(runtime?.reason?.code, "E_ENGINE_NONE");
	const first = sent;
	t.true(first > 0);
	// its own look into the store comes to nothing, and says so to nobody; only the next engine does
	await publish(await readFile(entry.path));
	await until(sibling, byTensorrt(anna));
	t.is(sent, first, "no block of the bad one was sent again");
	const [came] = await h.cacheOf("d2").list();
	t.is(came?.sha256, entry.sha256);
	const [failure] = await h.cacheOf("d2").failures.list();
	t.like(failure, { engine: entry.id, plan: bad, code: "E_ENGINE_LOAD" });
});
