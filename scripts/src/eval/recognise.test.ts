import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { plainWords, wordErrors } from "@wattvox/cloud-trainer";
import { readWav } from "@wattvox/speech";
import test from "ava";
import { installed } from "../corpus/execute.ts";
import { hypotheses, recognise, recogniserInstalled } from "./recognise.ts";

test("hypothesis lines are put in the order of their ids", (t) => {
	t.deepEqual(
		hypotheses("the(2) cat sat (1 -12816)\n (0 0)\na dog (2 -7)\n", 3),
		["", "the cat sat", "a dog"],
	);
	t.throws(() => hypotheses("a dog (1 -7)\n", 2), { code: "E_BUG" });
});

test("pocketsphinx hears what flite says, and nothing in silence", async (t) => {
	if (!(await recogniserInstalled()) || !(await installed("flite"))) {
		t.log("skipped: pocketsphinx, pocketsphinx-en-us or flite is missing");
		return t.pass();
	}
	const text = "The doctor told him to drink more water every day.";
	const dir = await mkdtemp(join(tmpdir(), "wattvox-asr-test-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const file = join(dir, "a.wav");
	await promisify(execFile)("flite", ["-voice", "rms", "-t", text, "-o", file]);
	const { samples } = readWav(await readFile(file));
	const done: number[] = [];
	const heard = await recognise([new Float32Array(8000), samples], {
		onDone: (n) => done.push(n),
	});
	t.is(heard[0], "");
	const { errors } = wordErrors(plainWords(text), plainWords(heard[1] ?? ""));
	t.true(errors <= 3, `heard: ${heard[1]}`);
	t.deepEqual(done, [2]);
});

test("an aborted recognition ends with the reason", async (t) => {
	const reason = new Error("enough");
	await t.throwsAsync(
		recognise([new Float32Array(8000)], { signal: AbortSignal.abort(reason) }),
		{ is: reason },
	);
});
