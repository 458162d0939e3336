import type { Clock } from "@wattvox/core";
import test from "ava";
import { Meter } from "./meter.ts";
import { FAKE } from "./testing.ts";
import { measureSpeech, type Speak, WORKLOAD_SENTENCES } from "./workload.ts";

/** Numbers in 0..1 that are the same in every run (mulberry32). */
function random(seed: number): () => number {
	let a = seed;
	return () => {
		a = (a + 0x6d2b79f5) | 0;
		let x = Math.imul(a ^ (a >>> 15), 1 | a);
		x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
	};
}

interface Machine {
	clock: Clock;
	meter: Meter;
	speak: Speak;
	spoken: string[];
}

/**
 * A machine whose time passes only when it works or waits: it idles at about 4 W, computes a second
 * of speech in 0.1 s and draws about 9 W meanwhile.
 */
function machine(seed: number, scatter: number, dead = false): Machine {
	const next = random(seed);
	const about = (value: number) => value * (1 + scatter * (2 * next() - 1));
	let ns = 1;
	let microjoules = 0;
	const pass = (seconds: number, watts: number) => {
		ns += seconds * 1e9;
		microjoules += seconds * watts * 1e6;
	};
	const spoken: string[] = [];
	return {
		clock: {
			wall: () => ns / 1e6,
			monotonic: () => ns / 1e6,
			sleep: async (ms) => pass(ms / 1000, about(4)),
		},
		meter: new Meter({
			kind: "counter",
			ranges: [null],
			describe: () => FAKE,
			read: async () => {
				if (dead) throw new Error("gone");
				const value = BigInt(Math.round(microjoules));
				return { atNs: BigInt(Math.round(ns)), microjoules: [value] };
			},
			close: async () => undefined,
		}),
		speak: async (text) => {
			spoken.push(text);
			const audioSeconds = text.length / 14;
			pass(audioSeconds * about(0.1), about(9));
			return { audioSeconds };
		},
		spoken,
	};
}

test("recovers what the machine was built with", async (t) => {
	const { meter, speak, clock, spoken } = machine(1, 0);
	const progress: number[] = [];
	const found = await measureSpeech(speak, {
		meter,
		clock,
		onProgress: (done) => progress.push(done),
	});
	const near = (a: number | undefined, b: number) =>
		t.true(Math.abs((a ?? Number.NaN) - b) < 1e-4, `${a} for ${b}`);
	near(found.realTimeFactor.value, 0.1);
	near(found.idleWatts?.value, 4);
	near(found.busyWatts?.value, 9);
	near(found.joulesPerAudioSecond?.gross.value, 0.9);
	near(found.joulesPerAudioSecond?.marginal.value, 0.5);
	near(found.joulesPerAudioSecond?.marginal.plusMinus ?? undefined, 0);
	t.true(found.seconds >= 30 && found.seconds < 31);
	t.true(found.measured);
	t.is(progress.at(-1), 1);
	// One for warming up, then round and round.
	t.is(spoken.length, found.utterances + 1);
	t.is(spoken[1 + WORKLOAD_SENTENCES.length], WORKLOAD_SENTENCES[0]);
	t.regex(found.method, /^Measured \(fake: a test\) over 12 blocks/);
});

test("the 95 % intervals hold the truth in about 95 of 100 runs", async (t) => {
	let gross = 0;
	let marginal = 0;
	const runs = 300;
	for (let seed = 0; seed < runs; seed++) {
		const { meter, speak, clock } = machine(seed, 0.3);
		const { joulesPerAudioSecond: found } = await measureSpeech(speak, {
			meter,
			clock,
		});
		const holds = (
			f: { value: number; plusMinus: number | null },
			truth: number,
		) => f.plusMinus !== null && Math.abs(f.value - truth) <= f.plusMinus;
		if (found && holds(found.gross, 0.9)) gross++;
		if (found && holds(found.marginal, 0.5)) marginal++;
	}
	t.log(`gross ${gross}, marginal ${marginal} of ${runs}`);
	// 95 % of 300 is 285 with a standard deviation of 3.8.
	for (const held of [gross, marginal]) t.true(held >= 273, `${held}`);
	// Intervals that always hold would be too wide to tell anything.
	t.true(gross < runs || marginal < runs);
});

test("a dead sensor leaves joules unknown and the pace known", async (t) => {
	const { meter, speak, clock } = machine(1, 0, true);
	const found = await measureSpeech(speak, { meter, clock });
	t.is(found.joulesPerAudioSecond, null);
	t.is(found.idleWatts, null);
	t.is(found.busyWatts, null);
	t.true(Math.abs(found.realTimeFactor.value - 0.1) < 1e-9);
});

test("a run too short, a silent voice and an interrupt end it", async (t) => {
	const { meter, speak, clock } = machine(1, 0);
	await t.throwsAsync(measureSpeech(speak, { meter, clock, seconds: 29 }), {
		message: /at least 30 s/,
	});
	const mute: Speak = async () => ({ audioSeconds: 0 });
	await t.throwsAsync(measureSpeech(mute, { meter, clock }), {
		message: /no sound came/,
	});
	const over = new AbortController();
	const interrupted = measureSpeech(
		async (text) => {
			over.abort(new Error("over"));
			return speak(text);
		},
		{ meter, clock, signal: over.signal },
	);
	await t.throwsAsync(interrupted, { message: "over" });
});
