// The agent on a Jetson made of files, with a real broker and speaker: what it does with a voice that
// draws too much; and the real process in which the workload is spoken.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FolderStore, newKey, trustKeys, writeBundle } from "@wattvox/bundle";
import { createLog } from "@wattvox/core";
import { Broker, publish, StoreServer, tellDevice } from "@wattvox/fleet";
import { Link, type Reported } from "@wattvox/link";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test, { type ExecutionContext } from "ava";
import { Agent } from "../agent.ts";
import { jetson } from "./_sysfs.test.ts";
import { openWorkload } from "./workload.ts";

const it = test.serial;
const key = newKey();
const trust = trustKeys([key.publicKey]);

async function bundleOf(dir: string, name: string, adapterSeed: number) {
	const files = tinyVoice({ name, adapterSeed });
	const voice = await Voice.load(files);
	const golden = await makeGolden(voice, ["All is well."], BASE_MEL);
	await voice.dispose();
	const path = join(dir, name);
	const { digest } = await writeBundle(
		path,
		tinyBundle.sources(files, golden),
		tinyBundle.meta(name),
		key,
	);
	return { path, digest };
}

async function folder(t: ExecutionContext): Promise<string> {
	t.timeout(600_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-agent-joules-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
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

it("a voice that draws too much speaks at once, is found out, and gives way to the last good one", async (t) => {
	const dir = await folder(t);
	const [good, dear] = [
		await bundleOf(dir, "good", 1),
		await bundleOf(dir, "dear", 2),
	];
	const board = jetson(t, { [good.digest]: 9, [dear.digest]: 14 });
	board.set(2, 50);
	const broker = await Broker.start({ port: 0 });
	const { url } = broker;
	const store = new FolderStore(join(dir, "store"));
	const server = new StoreServer({ source: store, broker: { url } });
	await server.start();
	const agent = new Agent({
		...{ broker: { url }, fleet: "f", device: "d1", trust, port: 0 },
		...{ dataDir: join(dir, "d1"), hostRoot: board.root, power: board.source },
		limits: { realTimeFactor: 1000 },
		log: createLog("agent", { level: "silent" }),
		joules: { open: board.open, meter: board.meter, clock: board.clock },
	});
	await agent.start();
	t.teardown(async () => {
		await agent.stop();
		await server.stop();
		await broker.stop();
	});
	const wish = (path: string, revision: number) =>
		publish(path, store, {
			...{ fleet: "f", devices: ["d1"], key, trust, revision },
			broker: { url },
		});
	await wish(good.path, 1);
	const first = await until(agent, (r) => r.joules !== undefined);
	t.is(first.joules?.verdict, "not-compared");
	t.like(first, { bundle: good.digest, state: "active" });

	await wish(dear.path, 2);
	await agent.speaksWith(dear.digest);
	const fallen = await until(agent, (r) => r.reason?.code === "E_JOULES");
	t.like(fallen, { bundle: good.digest, state: "failed", revision: 2 });
	t.regex(fallen.reason?.message ?? "", /\+5\d\.\d % .* against the last good/);
	await agent.speaksWith(good.digest);
	const reply = await fetch(`${agent.url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: "Good morning." }),
	});
	t.is(reply.headers.get("x-wattvox-bundle"), good.digest);
	await reply.arrayBuffer();
	// wished for again it is measured again, and may draw what the wish says
	const link = new Link({ url, clientId: "publisher" });
	await link.start();
	await tellDevice(
		link,
		{
			...{ fleet: "f", device: "d1", bundle: dear.digest, store: "store" },
			...{ revision: 3, limits: { joulesRatio: 2 } },
		},
		{ key },
		Date.now(),
	);
	await link.stop();
	const allowed = await until(
		agent,
		(r) => r.bundle === dear.digest && r.joules !== undefined,
	);
	t.is(allowed.joules?.verdict, "passed");
	t.regex(allowed.joules?.why ?? "", /\+100\.0 % is allowed/);
	t.is(allowed.state, "active");
});

it("the workload speaks in a process that ends with its caller, and says why it cannot", async (t) => {
	const dir = await folder(t);
	const { path, digest } = await bundleOf(dir, "anna", 1);
	const over = new AbortController();
	const config = { voice: { digest, dir: path }, threads: 1, tensorrt: null };
	const workload = await openWorkload(config, over.signal);
	t.is(workload.runtime, "onnxruntime");
	const { audioSeconds } = await workload.speak("The birch canoe slid.");
	t.true(audioSeconds > 0.3, `${audioSeconds}`);
	const spoken = workload.speak("Glue the sheet to the dark blue background.");
	over.abort(new Error("enough"));
	await t.throwsAsync(spoken, { message: "enough" });
	workload.close();
	await t.throwsAsync(
		openWorkload(
			{ ...config, voice: { digest, dir: join(dir, "none") } },
			new AbortController().signal,
		),
		{ code: "E_FILE_MISSING" },
	);
});
