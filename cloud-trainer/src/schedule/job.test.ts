import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { seededRandom } from "@wattvox/models";
import test, { type ExecutionContext } from "ava";
import { runJob } from "./job.ts";

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-job-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

test("steps run in order, each once; what failed is run again", async (t) => {
	const journal = join(await folder(t), "job.jsonl");
	const ran: string[] = [];
	let broken = true;
	const steps = ["train", "export"].map((name) => ({
		name,
		run: async () => {
			ran.push(name);
			if (name === "export" && broken) throw new Error("disk");
		},
	}));
	await t.throwsAsync(runJob(journal, steps), { message: "disk" });
	broken = false;
	await runJob(journal, steps);
	await runJob(journal, steps);
	t.deepEqual(ran, ["train", "export", "export"]);
});

test("what must not happen twice is never begun twice, even when it failed", async (t) => {
	const journal = join(await folder(t), "job.jsonl");
	let began = 0;
	const publish = {
		name: "publish",
		once: true,
		run: async () => {
			began++;
			throw new Error("cut");
		},
	};
	await t.throwsAsync(runJob(journal, [publish]), { message: "cut" });
	await appendFile(journal, '{"step":"pub');
	await t.throwsAsync(runJob(journal, [publish]), {
		code: "E_UNSURE",
	} as never);
	t.is(began, 1);
	await writeFile(journal, '{"hello":1}\n');
	await t.throwsAsync(runJob(journal, [publish]), {
		message: /no job's journal/,
	});
});

const INDEX = new URL("../index.js", import.meta.url).href;
const ONNX = import.meta.resolve("@wattvox/onnx");
const CORE = import.meta.resolve("@wattvox/core");

/** A job of a real training, an export and a publishing, that tells each moment at which it can be killed. */
const SCRIPT = `
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomic } from ${JSON.stringify(CORE)};
import { emptyGraph, floats, GraphBuilder } from ${JSON.stringify(ONNX)};
import { fit, runJob } from ${JSON.stringify(INDEX)};
const dir = process.argv[2];
const say = (what) => new Promise((done) => process.stdout.write(what + "\\n", done));
const b = new GraphBuilder(emptyGraph("one"));
const gap = b.sub(b.weight("w", floats([0], [1])), b.input("x", "float32", [1]));
b.output(b.mean(b.mul(gap, gap)), "loss");
let w;
await runJob(join(dir, "job.jsonl"), [
	{ name: "train", run: async () => {
		const done = await fit({
			graph: b.graph, loss: "loss", trainable: ["w"], steps: 12, schedule: () => 0.1,
			batch: async (step) => { await say("step " + step); return { x: floats([1 + (step % 3)], [1]) }; },
			checkpoint: join(dir, "one.ckpt"), checkpointEvery: 1,
		});
		await say("trained");
		await writeAtomic(join(dir, "voice"), String(done.parameters.get("w").data[0]));
	} },
	{ name: "publish", once: true, run: async () => {
		await say("publishing");
		await appendFile(join(dir, "published"), await readFile(join(dir, "voice"), "utf8") + "\\n");
		await say("published");
	} },
]);
await say("done");
`;

/** Runs the job until the line `at` is said, then kills it; without `at`, to its end. */
async function attempt(dir: string, at?: string): Promise<number | null> {
	// A file, since the trainer's worker thread cannot inherit a script from the command line.
	const script = join(dir, "job.mjs");
	await writeFile(script, SCRIPT);
	const child = spawn(process.execPath, [script, dir], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	const closed = once(child, "close");
	createInterface({ input: child.stdout }).on("line", (line) => {
		if (line === at) child.kill("SIGKILL");
	});
	await closed;
	return child.exitCode;
}

const text = (path: string) => readFile(path, "utf8").catch(() => "");

test("killed with -9 at any moment, a job goes on from its checkpoint and publishes at most once", async (t) => {
	const whole = await folder(t);
	t.is(await attempt(whole), 0);
	const expected = await text(join(whole, "published"));
	t.regex(expected, /^\d\.\d+\n$/);

	const random = seededRandom(7);
	const moments = ["step 2", `step ${3 + Math.floor(8 * random())}`, "trained"];
	const dir = await folder(t);
	for (const moment of moments) {
		t.is(await attempt(dir, moment), null, moment);
		t.is(await text(join(dir, "published")), "");
	}
	t.is(await attempt(dir), 0);
	// The same voice as if it had never been killed, once.
	t.is(await text(join(dir, "published")), expected);
	t.is(await attempt(dir), 0);
	t.is(await text(join(dir, "published")), expected);
});

for (const moment of ["publishing", "published"])
	test(`killed with -9 when it said "${moment}", a job never publishes again`, async (t) => {
		const dir = await folder(t);
		t.is(await attempt(dir, moment), null);
		const before = await text(join(dir, "published"));
		for (let i = 0; i < 2; i++) {
			const code = await attempt(dir);
			t.true(code === 0 || code === 1, `${code}`);
			const after = await text(join(dir, "published"));
			t.true(after.split("\n").length <= 2);
			t.is(after, before);
		}
	});
