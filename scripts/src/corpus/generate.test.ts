import { mkdtemp, readFile, rm, stat, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentProgress } from "@wattvox/core";
import { readWav } from "@wattvox/speech";
import test, { type ExecutionContext } from "ava";
import { voicedPitch } from "../eval/pitch.ts";
import { check, checkTable } from "./check.ts";
import { installed } from "./execute.ts";
import { generate, plan, type Utterance } from "./generate.ts";
import { PHONES } from "./phones.ts";
import { type Recipe, recipes } from "./recipes.ts";
import { join16k } from "./targets.ts";

test("each sentence is dealt once, and some are kept for validation", (t) => {
	const speakers = recipes(0.5, 1);
	const lines = Array.from({ length: 3000 }, (_, i) => `${i}`);
	const planned = plan(speakers, lines);
	t.is(new Set(planned.map((p) => p.text)).size, planned.length);
	t.is(new Set(planned.map((p) => p.id)).size, planned.length);
	for (const p of planned) {
		t.is(p.split === "heldout-speaker", p.recipe.split === "heldout-speaker");
	}
	const trained = new Set(speakers.filter((s) => s.split === "train"));
	const heard = planned.filter((p) => p.split === "val").map((p) => p.recipe);
	t.is(new Set(heard).size, trained.size);
});

test("recordings are joined with pauses of 0.3 to 0.6 s", (t) => {
	const part = new Float32Array(16000).fill(0.5);
	const out = join16k([part, part, part], 1);
	t.true(out.length >= 16000 * (3 + 0.5 + 0.6));
	t.true(out.length <= 16000 * (3 + 0.5 + 1.2));
	t.is(out.filter((s) => s !== 0).length, 48000);
	t.is(out[out.length - 4001], 0.5);
});

async function missing(t: ExecutionContext): Promise<boolean> {
	for (const program of ["flite", "sox", "espeak-ng", "gcc"]) {
		if (await installed(program)) continue;
		t.log(`skipped: ${program} is not installed`);
		t.pass();
		return true;
	}
	return false;
}

test("a small corpus is made, resumed and checked", async (t) => {
	if (await missing(t)) return;
	const dir = await mkdtemp(join(tmpdir(), "corpus-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const only = [
		"slt",
		"slt-04",
		"rms-03",
		"kal16-h1",
		"es-001-f1",
		"es-004-m1",
	];
	const options = {
		hours: 0.01,
		seed: 1,
		jobs: 2,
		only,
		progress: silentProgress,
	};
	const summary = await generate(dir, options);
	t.is(summary.speakers, only.length);
	t.is(summary.skipped, 0);
	t.is(summary.utterances, 3 * only.length);
	const read = async () =>
		(await readFile(join(dir, "utterances.jsonl"), "utf8"))
			.trim()
			.split("\n")
			.map((line) => JSON.parse(line) as Utterance);
	const first = await read();
	const made = JSON.parse(
		await readFile(join(dir, "speakers.json"), "utf8"),
	) as Recipe[];
	for (const recipe of made) {
		const pitches: number[] = [];
		for (const u of first.filter((u) => u.speaker === recipe.id)) {
			const wav = readWav(await readFile(join(dir, u.wav)));
			t.is(wav.sampleRate, 16000);
			t.is(wav.samples.length, u.samples);
			t.is(u.phones.at(-1)?.[1], u.samples);
			t.is(u.phones[0]?.[0], "pau");
			t.is(u.phones.at(-1)?.[0], "pau");
			for (const [phone] of u.phones) t.true(PHONES.includes(phone));
			pitches.push(...voicedPitch(wav.samples, 16000));
		}
		const middle = pitches.sort((a, b) => a - b)[pitches.length >> 1] ?? 0;
		const off = Math.abs(middle / recipe.pitch - 1);
		t.true(off < 0.15, `${recipe.id}: ${middle} for ${recipe.pitch} Hz`);
	}
	const rows = await check(dir);
	for (const row of rows) {
		t.true(Math.abs(row.boundaryMs) <= 12, checkTable(rows));
		t.true(row.speechDb - row.pauseDb > 20, checkTable(rows));
	}
	// A torn file is made again, the same; whole ones are left alone.
	const [torn, whole] = [first[1], first[2]].map((u) =>
		join(dir, u?.wav ?? ""),
	);
	const bytes = await readFile(torn ?? "");
	await truncate(torn ?? "", 100);
	const { mtimeMs } = await stat(whole ?? "");
	await generate(dir, options);
	t.deepEqual(await readFile(torn ?? ""), bytes);
	t.is((await stat(whole ?? "")).mtimeMs, mtimeMs);
	t.deepEqual(await read(), first);
	await t.throwsAsync(generate(dir, { ...options, seed: 2 }), {
		code: "E_USAGE",
	});
});

test("an interrupted run ends with the interrupt", async (t) => {
	if (await missing(t)) return;
	const dir = await mkdtemp(join(tmpdir(), "corpus-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const stop = new AbortController();
	const reason = new Error("stop");
	let seen = 0;
	const task = {
		update: (done: number) => {
			seen = done;
			if (done === 2) stop.abort(reason);
		},
		finish: () => t.fail("must not finish"),
		fail: () => undefined,
	};
	const run = generate(dir, {
		hours: 0.01,
		seed: 1,
		jobs: 2,
		only: ["slt", "awb"],
		progress: { task: () => task, note: () => undefined },
		signal: stop.signal,
	});
	t.is(await t.throwsAsync(run), reason);
	t.true(seen <= 4);
	await t.throwsAsync(stat(join(dir, "utterances.jsonl")));
});
