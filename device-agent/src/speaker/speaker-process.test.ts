import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import test, { type ExecutionContext } from "ava";
import { forkSpeaker } from "./fork-speaker.ts";
import type { SpeakerConfig, VoiceAt } from "./messages.ts";
import { SpeakerProcess } from "./speaker-process.ts";

/** A speaker that knows no speech: it dies on voice "deadly", refuses "bad", loads "late" only when the next is asked for, and any other at once. */
const STAND_IN = `
const config = JSON.parse(process.argv[2]);
const answers = [];
const load = ({ digest, engine }, ask) => {
	const send = (answer) => process.send({ ...answer, ask });
	if (digest === "late" && !engine) answers.push(() => send({ kind: "loaded", digest, engine: null, runtime: "onnxruntime" }));
	else if (digest === "deadly" || engine?.id === "deadly") process.kill(process.pid, "SIGKILL");
	else if (engine?.id === "bad") {
		const trouble = { code: "E_ENGINE_LOAD", message: "another version" };
		send({ kind: "loaded", digest, engine: "bad", runtime: "onnxruntime", trouble });
	} else if (engine) send({ kind: "loaded", digest, engine: engine.id, runtime: "tensorrt" });
	else if (digest === "bad")
		send({ kind: "not-loaded", digest, code: "E_MODEL", message: "broken" });
	else send({ kind: "loaded", digest, engine: null, runtime: "onnxruntime" });
};
process.on("message", (m) => {
	if (m.kind !== "swap") process.exit(0);
	for (const answer of answers.splice(0)) answer();
	load(m, m.ask);
});
process.on("disconnect", () => process.exit(0));
if (config.port === 99) {
	process.send({ kind: "no-port", message: "taken" });
	process.disconnect();
} else {
	process.send({ kind: "listening", port: config.port || 4711 });
	if (config.voice) load(config.voice, config.ask);
}
`;

async function speaker(
	t: ExecutionContext,
	voice: VoiceAt | null = null,
	port = 0,
	/** In place of the first forks. */
	instead: (() => ChildProcess)[] = [],
) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-speaker-"));
	const main = join(dir, "stand-in.mjs");
	await writeFile(main, STAND_IN);
	let changed: () => void = () => undefined;
	const blamed: string[] = [];
	let next = voice;
	const lost: string[] = [];
	const children: ChildProcess[] = [];
	const ends: string[] = [];
	const process = new SpeakerProcess({
		port,
		threads: 1,
		maxWaiting: 1,
		voice: () => next,
		onEngineTrouble: (digest, engine, { code }) => {
			blamed.push(`${digest} ${engine} ${code}`);
			next = next && at(next.digest);
		},
		onEnd: (how) => ends.push(how),
		onChange: () => changed(),
		onUtterance: ({ kind }) => lost.push(kind),
		fork: (config) => {
			const other = instead.shift();
			if (other) return other();
			const child = forkSpeaker(config, pathToFileURL(main));
			children.push(child);
			return child;
		},
	});
	t.teardown(async () => {
		await process.stop();
		await rm(dir, { recursive: true });
	});
	const until = async (met: () => boolean) => {
		while (!met())
			await new Promise<void>((resolve) => {
				changed = resolve;
			});
	};
	const become = (voice: VoiceAt) => {
		next = voice;
		return voice;
	};
	return { process, until, lost, blamed, become, children, ends };
}

const at = (digest: string, engine?: string): VoiceAt => ({
	digest,
	dir: "/nowhere",
	...(engine !== undefined && {
		engine: {
			id: engine,
			path: "/nowhere",
			sha256: "",
			size: 1,
			ports: { inputs: [], outputs: [] },
		},
	}),
});

test("a voice changes to its engine and back", async (t) => {
	const { process, blamed, become } = await speaker(t, at("good"));
	await process.start();
	await process.swap(become(at("good", "one")));
	t.like(process, { digest: "good", engine: "one", runtime: "tensorrt" });
	await process.swap(become(at("good", "two")));
	t.is(process.engine, "two");
	await process.swap(become(at("good")));
	t.like(process, { digest: "good", engine: null, runtime: "onnxruntime" });
	t.deepEqual(blamed, []);
});

test("a swap does not take the answer about the voice before it for its own", async (t) => {
	const { process, blamed, become } = await speaker(t, at("late"));
	await process.start();
	await process.swap(become(at("late", "one")), AbortSignal.timeout(60_000));
	t.like(process, { digest: "late", engine: "one", runtime: "tensorrt" });
	t.deepEqual(blamed, []);
});

test("an engine that does not load is blamed, not the voice", async (t) => {
	const { process, blamed, become } = await speaker(t, at("good"));
	await process.start();
	await process.swap(become(at("good", "bad")));
	t.like(process, { digest: "good", engine: null, runtime: "onnxruntime" });
	t.is(process.failed, null);
	t.deepEqual(blamed, ["good bad E_ENGINE_LOAD"]);
});

test("an engine that kills the speaker is blamed once, and the voice speaks without it", async (t) => {
	const { process, until, blamed, become } = await speaker(t, at("good"));
	await process.start();
	await process.swap(become(at("good", "deadly")));
	await until(() => process.digest === "good");
	t.like(process, { engine: null, runtime: "onnxruntime", restarts: 1 });
	t.is(process.failed, null);
	t.deepEqual(blamed, ["good deadly E_ENGINE_CRASH"]);

	// One that speaks for a while and then brings the process down is given up too.
	await process.swap(become(at("good", "one")));
	globalThis.process.kill(process.pid ?? 0, "SIGKILL");
	await until(() => process.restarts === 2 && process.digest === "good");
	t.is(process.runtime, "onnxruntime");
	t.is(blamed[1], "good one E_ENGINE_CRASH");
});

test("a voice that kills the speaker is given up, and the speaker lives on without it", async (t) => {
	const { process, until, lost } = await speaker(t, at("deadly"));
	await process.start();
	await until(() => process.failed !== null && process.up);
	t.is(process.restarts, 3);
	t.deepEqual(process.failed?.digest, "deadly");
	t.regex(process.failed?.message ?? "", /SIGKILL.* 3 times/);
	t.is(process.digest, null);
	t.is(lost.length, 3);
	await process.swap(at("good"));
	t.is(process.digest, "good");
	t.is(process.failed, null);
});

test("a voice that does not load leaves the old one, and says why", async (t) => {
	const { process, until } = await speaker(t, at("good"));
	await process.start();
	await until(() => process.digest === "good");
	await t.throwsAsync(process.swap(at("bad")), {
		code: "E_MODEL",
		message: "broken",
	});
	t.is(process.digest, "good");
	process.forgive();
	t.is(process.failed, null);
});

test("a process that the system does not start is no death of the voice, and another is started", async (t) => {
	const never = () => spawn("/nowhere/node");
	const full = () => {
		throw Object.assign(new Error("spawn ENOMEM"), { code: "ENOMEM" });
	};
	const { process, until, blamed, ends } = await speaker(
		...[t, at("good", "one"), 0, [never, full, never, never]],
	);
	await process.start();
	await until(() => process.digest === "good");
	t.like(process, { engine: "one", restarts: 4, failed: null });
	t.deepEqual(blamed, []);
	t.regex(ends.join(), /^spawn .*ENOENT,spawn ENOMEM,spawn .*ENOENT/);
});

test("a killed speaker is started again on its port", async (t) => {
	const { process: speaking, until } = await speaker(t, at("good"));
	await speaking.start();
	await until(() => speaking.digest === "good");
	t.is(speaking.port, 4711);
	const { pid } = speaking;
	process.kill(pid as number, "SIGKILL");
	await until(() => speaking.restarts === 1 && speaking.digest === "good");
	t.not(speaking.pid, pid);
	t.is(speaking.port, 4711);
	t.is(speaking.failed, null);
	await speaking.stop();
	await speaking.stop();
	t.is(speaking.restarts, 1);
});

test("what a speaker said last does not count once its end was heard", async (t) => {
	const { process, until, children } = await speaker(t);
	await process.start();
	const [first] = children;
	first?.kill("SIGKILL");
	await until(() => process.restarts === 1);
	first?.emit("message", { kind: "loaded", ask: 9, digest: "good" });
	t.is(process.digest, null);
	await until(() => process.up);
	t.is(process.digest, null);
});

test("a port that is taken is an error at the start", async (t) => {
	const { process } = await speaker(t, null, 99);
	await t.throwsAsync(process.start(), { code: "E_BUSY", message: "taken" });
});

test("waiting for a swap can be abandoned", async (t) => {
	const { process } = await speaker(t);
	await process.start();
	await t.throwsAsync(
		process.swap(at("good"), AbortSignal.abort(new Error("enough"))),
		{
			message: "enough",
		},
	);
});

test("a speaker whose agent went before it was up ends, and keeps no port", async (t) => {
	const config = { port: 0, threads: 1, maxWaiting: 1, voice: null, ask: 0 };
	const main = new URL("./main.js", import.meta.url);
	const child = fork(main, [JSON.stringify(config)], { stdio: "ignore" });
	child.disconnect();
	t.deepEqual(await once(child, "exit"), [0, null]);
});

test("a request that waits for the agent's word does not keep a speaker whose agent is gone", async (t) => {
	const digest = "a".repeat(64);
	const config: SpeakerConfig = {
		...{ port: 0, threads: 1, maxWaiting: 1, tensorrt: null, playback: {} },
		voice: null,
		ask: 0,
		offers: [{ id: "anna", digest, language: "en", base: "tiny" }],
		aside: { places: 1, bytes: 1e9 },
	};
	const main = new URL("./main.js", import.meta.url);
	const child = fork(main, [JSON.stringify(config)], { stdio: "ignore" });
	t.teardown(() => child.kill("SIGKILL"));
	const [{ port }] = await once(child, "message");
	const asked = fetch(`http://127.0.0.1:${port}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: "Hello.", voice: "anna" }),
	});
	t.deepEqual(await once(child, "message"), [
		{ kind: "want", digest },
		undefined,
	]);
	const exit = once(child, "exit");
	child.disconnect();
	t.is((await asked).status, 503);
	t.deepEqual(await exit, [0, null]);
});
