import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AUDIO, seededRandom } from "@wattvox/models";
import {
	loraKey,
	mergeIntoWeights,
	savedKey,
	type Tensor,
} from "@wattvox/onnx";
import test, { type ExecutionContext } from "ava";
import type { Example } from "../data/features.ts";
import type { DriftReport } from "../train/drift.ts";
import { furthest } from "../train/testing.ts";
import { base, drawn } from "./_tiny-base.test.ts";
import { adaptTeacher } from "./adapt.ts";
import { ADAPT, type AdaptOptions } from "./adapt-options.ts";
import { distilVoice } from "./distil-voice.ts";

/** Sentences of different lengths: parts of a batch weigh differently. */
function example(i: number): Example {
	const random = seededRandom(i);
	const durations = Int32Array.of(3, 8 + 30 * i, 5, 4, 9).slice(0, 4 + (i % 2));
	const frames = durations.reduce((a, b) => a + b, 0);
	return {
		id: `e${i}`,
		speaker: "target",
		split: i < 2 ? "val" : "train",
		phones: Int32Array.of(1, 2, 3, 1, 2).slice(0, durations.length),
		durations,
		frames,
		mel: Float32Array.from(
			{ length: frames * AUDIO.nMels },
			() => -5 + random(),
		),
		wave: new Int16Array(frames * AUDIO.hop),
	};
}
const VOICE = {
	examples: Array.from({ length: 7 }, (_, i) => example(i)),
	speaker: new Float32Array(192).fill(192 ** -0.5),
};

async function options(
	t: ExecutionContext,
	more: Partial<AdaptOptions>,
): Promise<AdaptOptions> {
	const work = await mkdtemp(join(tmpdir(), "wattvox-levers-"));
	t.teardown(() => rm(work, { recursive: true, force: true }));
	return {
		...ADAPT,
		work,
		steps: 4,
		rank: 2,
		alpha: 4,
		batch: 4,
		frames: 40,
		validateEvery: 2,
		threads: 1,
		...more,
	};
}
const teach = async (t: ExecutionContext, more: Partial<AdaptOptions> = {}) =>
	adaptTeacher(base, drawn("teacher"), VOICE, await options(t, more));

test("accumulation and recomputation end in the same adapter", async (t) => {
	const plain = await teach(t);
	const close = (a: ReadonlyMap<string, Tensor>) =>
		t.true(
			furthest(a, plain.adapter) < 2e-4,
			String(furthest(a, plain.adapter)),
		);
	close((await teach(t, { accumulate: 4 })).adapter);
	const less = await teach(t, { memory: 1 });
	t.true((less.fit.plan?.cuts.length ?? 0) > 0);
	t.false(less.fit.plan?.reached);
	close(less.adapter);
});

test("a distillation in parts is the distillation in one", async (t) => {
	const run = async (more: Partial<AdaptOptions>) =>
		distilVoice(
			base,
			drawn("student"),
			drawn("teacher"),
			VOICE,
			[],
			await options(t, more),
		);
	const [whole, parts] = [
		await run({}),
		await run({ accumulate: 3, memory: 1 }),
	];
	t.true(furthest(parts.adapter, whole.adapter) < 2e-4);
});

test("whole weights train, and their change is an adapter", async (t) => {
	const full = await teach(t, { full: true, calibrate: false });
	const lora = await teach(t);
	t.true(full.parameters > 3 * lora.parameters);
	t.is(full.lora.alpha, full.lora.rank);
	const merged = mergeIntoWeights(drawn("teacher"), full.adapter, 1);
	t.true(full.adapted.length > 5);
	const trained = full.fit.parameters;
	t.true(
		furthest(
			trained,
			new Map([...trained.keys()].map((n) => [n, merged.get(n) as Tensor])),
		) < 1e-6,
	);
});

test("batches that come again have their frozen part computed once", async (t) => {
	const o = { batches: 2, targets: "/^decoder\\..*\\.w$/", steps: 6 };
	const { fit, adapted } = await teach(t, o);
	t.true(adapted.every((n) => n.startsWith("decoder.")));
	// Two batches and two of validation.
	t.deepEqual(fit.cache?.misses, 4);
	t.true((fit.cache?.hits ?? 0) >= 4);
});

test("the decoder alone, with the text side's rows kept, is the decoder among all", async (t) => {
	const o = { targets: "/^decoder\\..*\\.w$/", calibrate: false };
	const among = await teach(t, o);
	const alone = await teach(t, { ...o, decoderOnly: true });
	t.deepEqual(alone.adapted, among.adapted);
	t.true(
		furthest(alone.adapter, among.adapter) < 2e-4,
		String(furthest(alone.adapter, among.adapter)),
	);
	// Without targets of its own it adapts what the graph holds, and calibrates with the text side there.
	const usual = await teach(t, { decoderOnly: true, accumulate: 2 });
	t.deepEqual(usual.adapted, among.adapted);
	t.true(usual.adapter.has(savedKey("decoder.out.w")));
	await t.throwsAsync(teach(t, { decoderOnly: true, sampler: true }), {
		code: "E_USAGE",
	} as never);
});

test("a head start begins nearer, and the adapter brings the layer that it solved", async (t) => {
	const first = async (more: Partial<AdaptOptions>) => {
		let mel = Number.NaN;
		const adapted = await teach(t, {
			...more,
			calibrate: false,
			learningRate: 0,
			steps: 1,
			validateEvery: 1,
			onValidation: (_loss, _step, values) => {
				mel = values["loss.mel"] ?? Number.NaN;
			},
		});
		return { mel, adapted };
	};
	const plain = await first({});
	const ahead = await first({ headStart: true });
	t.true(ahead.mel < 0.8 * plain.mel, `${ahead.mel}, ${plain.mel}`);
	const alone = await first({ headStart: true, decoderOnly: true });
	t.true(Math.abs(alone.mel - ahead.mel) < 1e-4);
	for (const { adapter } of [ahead.adapted, alone.adapted]) {
		t.false(adapter.has(loraKey("decoder.out.w", "A")));
		const merged = mergeIntoWeights(drawn("teacher"), adapter, 2);
		t.deepEqual(
			merged.get("decoder.out.b"),
			adapter.get(savedKey("decoder.out.b")),
		);
	}
	// Whole weights too end with the layer as it is, not with a change beside it.
	const whole = await first({ headStart: true, full: true });
	t.true(Math.abs(whole.mel - ahead.mel) < 1e-4);
	t.true(
		furthest(
			new Map([
				["w", whole.adapted.adapter.get(savedKey("decoder.out.w")) as Tensor],
			]),
			new Map([
				["w", ahead.adapted.adapter.get(savedKey("decoder.out.w")) as Tensor],
			]),
		) < 1e-5,
	);
});

test("a head start serves a distillation; the decoder alone does not", async (t) => {
	const run = async (more: Partial<AdaptOptions>) =>
		distilVoice(
			base,
			drawn("student"),
			drawn("teacher"),
			VOICE,
			[],
			await options(t, more),
		);
	const { adapter } = await run({ headStart: true, calibrate: false });
	t.true(adapter.has(savedKey("decoder.out.w")));
	await t.throwsAsync(run({ decoderOnly: true }), { code: "E_USAGE" } as never);
});

test("the last layer is solved again, and kept unless held-out speech is worse for it", async (t) => {
	const seen: number[] = [];
	const more = { calibrate: false, learningRate: 1e-3 };
	const plain = await teach(t, more);
	const solved = await teach(t, {
		...more,
		refit: true,
		onValidation: (loss) => seen.push(loss),
	});
	t.is(seen.length, 3, "two validations, and one of what was solved");
	t.true((seen[2] ?? 9) < 0.9 * (seen[1] ?? 0), String(seen));
	t.deepEqual(solved.fit.best, { step: 4, loss: seen[2] ?? Number.NaN });
	t.false(solved.adapter.has(loraKey("decoder.out.w", "A")));
	const size = (adapter: ReadonlyMap<string, Tensor>) =>
		[...adapter.values()].reduce((sum, { data }) => sum + data.length, 0);
	t.is(plain.parameters, size(plain.adapter));
	t.is(solved.parameters, size(solved.adapter));

	// Held-out speech far below the rest: what brings the one nearer, upwards, takes the other further.
	const examples = VOICE.examples.map((e) =>
		e.split === "val" ? { ...e, mel: e.mel.map((v) => v - 40) } : e,
	);
	const o = await options(t, { ...more, variance: 0, refit: true });
	const other = { ...VOICE, examples };
	const kept = await adaptTeacher(base, drawn("teacher"), other, o);
	t.true(kept.adapter.has(loraKey("decoder.out.w", "A")));
	t.false(kept.adapter.has(savedKey("decoder.out.w")));
	t.is(kept.parameters, plain.parameters);
});

test("dropout, sampler, LoRA+, rsLoRA and an average change training, and resume as if never stopped", async (t) => {
	const plain = await teach(t);
	const more = {
		dropout: 0.3,
		sampler: { min: 0.1, max: 0.4, jitter: 0.05, spacing: 0.1 },
		loraPlus: 4,
		rsLora: true,
		anyLength: true,
		average: 0.8,
		precision: "mixed" as const,
	};
	let ready = 0;
	const changed = await teach(t, {
		...more,
		onReady: () => ready++,
		onStep: () => t.is(ready, 1, "ready before the first step"),
	});
	t.is(ready, 1);
	t.true(furthest(changed.adapter, plain.adapter) > 1e-3);
	const o = await options(t, more);
	const run = (rest: Partial<AdaptOptions>) =>
		adaptTeacher(base, drawn("teacher"), VOICE, { ...o, ...rest });
	const stop = new AbortController();
	await run({
		signal: stop.signal,
		onStep: ({ step }) => step === 2 && stop.abort(),
	});
	const resumed = await run({});
	t.is(furthest(resumed.adapter, changed.adapter), 0);
});

test("drift of the content is watched", async (t) => {
	const reports: DriftReport[] = [];
	const { fit } = await teach(t, {
		learningRate: 0.5,
		steps: 40,
		patience: 100,
		drift: { warn: 0.9999, stop: 0.999 },
		onDrift: (r) => reports.push(r),
	});
	t.is(reports.at(-1)?.verdict, "stop");
	t.true(fit.drifted);
	t.true(fit.steps < 40);
});
