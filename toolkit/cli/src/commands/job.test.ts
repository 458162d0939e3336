import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import { cli } from "../testing.ts";

test("a job runs its commands in order, once each, and goes on after one that failed", async (t) => {
	const dir = await temporaryDir(t);
	const file = join(dir, "night.json");
	const keys = join(dir, "keys");
	const clip = join(dir, "none.wav");
	await writeFile(
		file,
		JSON.stringify([
			["keys", "new", "a", "--out", keys],
			["distil", "--run", clip],
		]),
	);
	const first = await cli(["job", file]);
	t.is(first.code, 3);
	t.regex(first.err, /holds no training run/);
	t.true(existsSync(join(keys, "a.key")));
	// The first step is not done again, or it would complain of the key that is there.
	const again = await cli(["job", file]);
	t.is(again.code, 3);
	await writeFile(file, JSON.stringify([["keys", "new", "a", "--out", keys]]));
	const done = await cli(["job", file, "--json"]);
	t.is(done.code, 0, done.err);
	t.like(done.json, { schedule: null });
});

test("a job that is none is told before anything runs", async (t) => {
	const dir = await temporaryDir(t);
	const file = join(dir, "night.json");
	t.is((await cli(["job", file])).code, 3);
	for (const bad of ["{}", "[]", '["train"]', "["]) {
		await writeFile(file, bad);
		const { code, err } = await cli(["job", file]);
		t.is(code, 3, bad);
		t.regex(err, /no list of commands/);
	}
	const keys = ["keys", "new", "a", "--out", join(dir, "keys")];
	for (const bad of [
		["agent", "run"],
		["job", file],
		["sing"],
		["fleet", "serve", "--bogus"],
	]) {
		await writeFile(file, JSON.stringify([keys, bad]));
		t.is((await cli(["job", file])).code, 2, bad.join(" "));
	}
	t.false(existsSync(join(dir, "keys")));
});

test("a schedule's mistakes are told at once; a plan is shown, and its state kept", async (t) => {
	const dir = await temporaryDir(t);
	const file = join(dir, "night.json");
	const keys = join(dir, "keys");
	await writeFile(file, JSON.stringify([["keys", "new", "a", "--out", keys]]));
	for (const bad of [
		["--window", "61 * * * *"],
		["--carbon", "green"],
		["--deadline", "soon"],
		["--tariff", "fixed:3"],
		["--carbon", "uk", "--tariff", "csv:x"],
		["--carbon", "uk", "--carbon-price", "100"],
		["--carbon", "uk", "--tariff", "csv:x", "--carbon-price", "0"],
		["--deadline", "12h", "--takes", "long"],
	]) {
		const { code, err } = await cli(["job", file, ...bad]);
		t.is(code, 2, `${bad}: ${err}`);
	}
	t.false(existsSync(keys));
	const { code, err, out } = await cli([
		...["job", file, "--deadline", "12h", "--carbon", "fixed:300"],
		...["--takes", "1m"],
	]);
	t.is(code, 0, err);
	t.regex(err, /> now .* 300/);
	t.regex(err, /No later time is better by enough/);
	t.regex(
		out,
		/waiting saved 0 %: 300 instead of 300 gCO2e\/kWh, (est\. )?\S+ g CO2e on (est\. )?\S+ kWh/,
	);
	// what each step has cost
	t.regex(out, /^1 keys \w+ .*\d m?s .*done/m);
	t.regex(out, /^all .*\d m?s /m);
	const state = JSON.parse(await readFile(join(dir, "schedule.json"), "utf8"));
	t.like(state, { done: true });
	// A file that fails degrades to now, and says so.
	await rm(`${file}.journal`);
	await rm(keys, { recursive: true });
	const failing = await cli([
		...[
			"job",
			file,
			"--deadline",
			"12h",
			"--carbon",
			`csv:${join(dir, "none")}`,
		],
		...["--takes", "1m"],
	]);
	t.is(failing.code, 0, failing.err);
	t.regex(failing.err, /cannot read .*none; it is not planned by/);
	t.regex(failing.out, /not known/);
});

test("carbon at a price and a tariff decide together, and the table says both", async (t) => {
	const dir = await temporaryDir(t);
	const file = join(dir, "night.json");
	const keys = join(dir, "keys");
	await writeFile(file, JSON.stringify([["keys", "new", "a", "--out", keys]]));
	const tariff = join(dir, "tariff.csv");
	await writeFile(tariff, "time,price\n00:00,0.25\n12:00,0.25\n");
	const { code, err, out } = await cli([
		...["job", file, "--deadline", "6h", "--takes", "1m"],
		...["--tariff", `csv:${tariff}`, "--carbon", "fixed:500"],
		...["--carbon-price", "100"],
	]);
	t.is(code, 0, err);
	t.regex(err, /per kWh +gCO2e\/kWh +per kWh with carbon +saves/);
	// 0.25 + 500 g at 100 a tonne
	t.regex(err, /> now .* 0\.25 +500 +0\.3/);
	t.regex(out, /saved 0 %: 0\.3 instead of 0\.3 per kWh with carbon/);
	t.regex(out, /saved 0 %: 0\.25 instead of 0\.25 per kWh,/);
	t.regex(out, /saved 0 %: 500 instead of 500 gCO2e\/kWh/);
	// one that fails leaves the other to decide, and it is said
	await rm(keys, { recursive: true });
	await rm(`${file}.journal`);
	const alone = await cli([
		...["job", file, "--deadline", "6h", "--takes", "1m", "--json"],
		...["--tariff", `csv:${tariff}`, "--carbon", `csv:${join(dir, "none")}`],
		...["--carbon-price", "100"],
	]);
	t.is(alone.code, 0, alone.err);
	t.like(alone.json, { energy: { stages: [{ status: "done" }] } });
});
