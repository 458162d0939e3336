import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AUDIO, seededRandom } from "@wattvox/models";
import test from "ava";
import type { Example } from "../data/features.ts";
import { base, drawn } from "./_tiny-base.test.ts";
import { ADAPT } from "./adapt-options.ts";
import { distilVoice } from "./distil-voice.ts";

function example(i: number): Example {
	const random = seededRandom(i);
	const durations = Int32Array.of(3, 8, 5, 4);
	return {
		id: `e${i}`,
		speaker: "target",
		split: i < 2 ? "val" : "train",
		phones: Int32Array.of(1, 2, 3, 1),
		durations,
		frames: 20,
		mel: Float32Array.from({ length: 20 * AUDIO.nMels }, () => -5 + random()),
		wave: new Int16Array(20 * AUDIO.hop),
	};
}

test("a distillation that was stopped goes on, its validations too", async (t) => {
	const work = await mkdtemp(join(tmpdir(), "wattvox-adapt-"));
	t.teardown(() => rm(work, { recursive: true, force: true }));
	const voice = {
		examples: Array.from({ length: 5 }, (_, i) => example(i)),
		speaker: new Float32Array(192).fill(192 ** -0.5),
	};
	const until = (steps: number, seen: number[]) =>
		distilVoice(base, drawn("student"), drawn("teacher"), voice, [], {
			...ADAPT,
			work,
			steps,
			rank: 2,
			batch: 2,
			frames: 16,
			validateEvery: 1,
			threads: 1,
			onValidation: (loss, step) => {
				t.true(Number.isFinite(loss));
				seen.push(step);
			},
		});
	const first: number[] = [];
	await until(2, first);
	t.deepEqual(first, [1, 2]);
	const second: number[] = [];
	const { fit, adapter } = await until(3, second);
	t.deepEqual(second, [3]);
	t.is(fit.steps, 3);
	t.true(adapter.size > 0);
});
