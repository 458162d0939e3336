// The agent on a Jetson made of files, with a real broker and speaker: what it does with a voice that
// draws too much; and the real process in which the workload is spoken.
import { join } from "node:path";
import { tellDevice } from "@wattvox/fleet";
import { Link } from "@wattvox/link";
import test from "ava";
import { fleet, reported, say } from "../_agent-fleet.test.ts";
import { jetson } from "./_sysfs.test.ts";
import { openWorkload } from "./workload.ts";

const it = test.serial;

it("a voice that draws too much speaks at once, is found out, and gives way to the last good one", async (t) => {
	const f = await fleet(t);
	const good = await f.bundle("good", { adapterSeed: 1 });
	const dear = await f.bundle("dear", { adapterSeed: 2 });
	const board = jetson(t, { [good.digest]: 9, [dear.digest]: 14 });
	board.set(2, 50);
	const agent = await f.agent({
		...{ hostRoot: board.root, power: board.source },
		joules: { open: board.open, meter: board.meter, clock: board.clock },
	});
	await f.publish(good.path);
	const first = await reported(agent, (r) => r.joules !== undefined);
	t.is(first.joules?.verdict, "not-compared");
	t.like(first, { bundle: good.digest, state: "active" });

	await f.publish(dear.path);
	await agent.speaksWith(dear.digest);
	const fallen = await reported(agent, (r) => r.reason?.code === "E_JOULES");
	t.like(fallen, { bundle: good.digest, state: "failed", revision: 2 });
	t.regex(fallen.reason?.message ?? "", /\+5\d\.\d % .* against the last good/);
	await agent.speaksWith(good.digest);
	t.is((await say(agent)).bundle, good.digest);
	// wished for again it is measured again, and may draw what the wish says
	const link = new Link({
		...{ url: f.url, clientId: "publisher", connectTimeoutMs: 60_000 },
	});
	await link.start();
	await tellDevice(
		link,
		{
			...{ fleet: "f", device: "d1", bundle: dear.digest, store: "store" },
			...{ revision: 3, limits: { joulesRatio: 2 } },
		},
		{ key: f.key },
		Date.now(),
	);
	await link.stop();
	const allowed = await reported(
		agent,
		(r) => r.bundle === dear.digest && r.joules !== undefined,
	);
	t.is(allowed.joules?.verdict, "passed");
	t.regex(allowed.joules?.why ?? "", /\+100\.0 % is allowed/);
	t.is(allowed.state, "active");
});

it("the workload speaks in a process that ends with its caller, and says why it cannot", async (t) => {
	const { dir, bundle } = await fleet(t);
	const { path, digest } = await bundle("anna", { adapterSeed: 1 });
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
