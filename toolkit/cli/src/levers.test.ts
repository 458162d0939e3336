import { silentProgress } from "@wattvox/core";
import test from "ava";
import type { Io } from "./command.ts";
import { bytesFrom, type LeverArgs, leanly, leverRequest } from "./levers.ts";

const io: Io = {
	json: false,
	signal: new AbortController().signal,
	progress: silentProgress,
	env: {},
	result: () => undefined,
};
const OFF: LeverArgs = {
	bucketing: true,
	full: false,
	"head-start": false,
	refit: false,
	"decoder-only": false,
	calibrate: true,
	rslora: false,
	sampler: false,
	"gradient-clip": 1,
};
const asked = (more: Partial<LeverArgs>) => {
	const {
		onPlan: _,
		onDrift: __,
		...rest
	} = leverRequest({ ...OFF, ...more }, io);
	return rest;
};

test("memory is given as people write it", (t) => {
	t.is(bytesFrom("2GB"), 2e9);
	t.is(bytesFrom("800 mb"), 8e8);
	t.is(bytesFrom("1.5GiB"), 1.5 * 2 ** 30);
	for (const bad of ["2", "GB", "-1GB", "0GB", "2TB", "1.2.3GB"])
		t.throws(() => bytesFrom(bad), { code: "E_USAGE" } as never, bad);
});

test("the lean way asks held-out speech at its end, or on the way for who watches it", (t) => {
	const lean = { refit: true, steps: 60, validateEvery: 1000 };
	t.deepEqual(leanly(lean, {}), lean);
	for (const watching of [
		{ patience: 3 },
		{ "drift-warn": 0.9 },
		{ "drift-stop": 0.8 },
	])
		t.deepEqual(leanly(lean, watching), { refit: true, steps: 60 });
});

test("without switches nothing is asked for; with them each is", (t) => {
	t.deepEqual(asked({}), {});
	t.deepEqual(
		asked({
			memory: "1GB",
			accumulate: 4,
			precision: "mixed",
			bucketing: false,
			batches: 10,
			targets: "decoder.*",
			patience: 0,
			calibrate: false,
			rslora: true,
			"gradient-clip": 0.5,
			"lora-plus": 16,
			dropout: 0.1,
			sampler: true,
			"drift-warn": 0.9,
			"drift-stop": 0.8,
		}),
		{
			memory: 1e9,
			accumulate: 4,
			precision: "mixed",
			anyLength: true,
			batches: 10,
			targets: "decoder.*",
			patience: Number.POSITIVE_INFINITY,
			calibrate: false,
			gradientClip: 0.5,
			rsLora: true,
			loraPlus: 16,
			dropout: 0.1,
			sampler: true,
			drift: { warn: 0.9, stop: 0.8 },
		},
	);
	t.deepEqual(asked({ precision: "single" }), {});
	t.deepEqual(asked({ full: true }), { full: true });
	t.deepEqual(
		asked({
			batch: 2,
			"learning-rate": 4e-3,
			average: 0.95,
			"head-start": true,
			refit: true,
			"decoder-only": true,
		}),
		{
			batch: 2,
			learningRate: 4e-3,
			average: 0.95,
			headStart: true,
			refit: true,
			decoderOnly: true,
		},
	);
	t.deepEqual(asked({ "gradient-clip": 0 }), {
		gradientClip: Number.POSITIVE_INFINITY,
	});
	t.deepEqual(asked({ "sampler-seconds": "2:4", "sampler-jitter": 0 }), {
		sampler: { min: 2, max: 4, jitter: 0, spacing: 1 },
	});
});

test("values out of range are told", (t) => {
	for (const bad of [
		{ accumulate: 0 },
		{ accumulate: 1.5 },
		{ batches: 0 },
		{ batch: 0 },
		{ "learning-rate": 0 },
		{ average: 1 },
		{ "decoder-only": true, sampler: true },
		{ patience: -1 },
		{ dropout: 1 },
		{ "drift-stop": -0.1 },
		{ "lora-plus": 0 },
		{ "gradient-clip": -1 },
		{ "sampler-seconds": "5:1" },
		{ "sampler-seconds": "2", "sampler-spacing": 0 },
		{ "sampler-seconds": "a:b" },
		{ "sampler-jitter": -1 },
		{ full: true, dropout: 0.1 },
		{ full: true, rslora: true },
		{ full: true, "lora-plus": 4 },
	])
		t.throws(
			() => asked(bad),
			{ code: "E_USAGE" } as never,
			JSON.stringify(bad),
		);
});
