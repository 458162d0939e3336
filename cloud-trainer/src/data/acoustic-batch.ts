import { AUDIO, LATENT, POSITION, SPEAKER } from "@wattvox/models";
import { floats, int64s, type Tensor } from "@wattvox/onnx";
import type { Example } from "./features.ts";
import { StepRandom } from "./random.ts";

/** What a batch is made of. */
export interface BatchOptions {
	/** Sentences per batch. */
	size: number;
	/** Frames per segment. */
	frames: number;
	/** Frames at a cut that do not count, since their neighbours are missing: the decoder's reach. */
	edge: number;
	/** Share of rows that decode a sample of the posterior; the others decode the prior's mean. */
	posteriorShare: number;
}

/** A speaker embedding [192] for an example. */
export type EmbeddingOf = (e: Example, random: StepRandom) => Float32Array;

/**
 * Position of each frame in its phone, [frames, 3]: from the front, from the back, log length; rows of
 * zeros past the end. `from` is the first frame wanted.
 */
export function positionRows(
	durations: ArrayLike<number>,
	from: number,
	count: number,
): Float32Array {
	const out = new Float32Array(count * POSITION);
	let start = 0;
	for (let p = 0; p < durations.length; p++) {
		const d = durations[p] ?? 0;
		for (let i = Math.max(0, from - start); i < d; i++) {
			const row = start + i - from;
			if (row >= count) return out;
			const a = (i + 0.5) / d;
			out[row * POSITION] = a;
			out[row * POSITION + 1] = 1 - a;
			out[row * POSITION + 2] = Math.log(d + 1);
		}
		start += d;
	}
	return out;
}

/** Draws `size` examples of similar length, so that little of a batch is padding. */
export function drawSimilar(
	examples: readonly Example[],
	size: number,
	random: StepRandom,
): Example[] {
	const pool = Array.from({ length: size * 8 }, () => random.pick(examples));
	pool.sort((a, b) => a.phones.length - b.phones.length);
	const at = random.int(pool.length - size + 1);
	return pool.slice(at, at + size);
}

/**
 * The examples of a step when each comes up once before any comes again, in an order that is new each
 * time: a function of the seed and the step alone.
 */
export function drawInTurn(
	examples: readonly Example[],
	size: number,
	seed: number,
	step: number,
): Example[] {
	const orders = new Map<number, Example[]>();
	const inOrder = (round: number) => {
		const known = orders.get(round);
		if (known) return known;
		const order = [...examples];
		const random = new StepRandom(seed, -1 - round);
		for (let i = order.length - 1; i > 0; i--) {
			const j = random.int(i + 1);
			[order[i], order[j]] = [order[j] as Example, order[i] as Example];
		}
		orders.set(round, order);
		return order;
	};
	return Array.from({ length: size }, (_, i) => {
		const at = step * size + i;
		const round = Math.floor(at / examples.length);
		return inOrder(round)[at % examples.length] as Example;
	});
}

/** Feeds of the acoustic graphs for the given examples. */
export function acousticBatch(
	examples: readonly Example[],
	o: BatchOptions,
	embeddingOf: EmbeddingOf,
	klWeight: number,
	random: StepRandom,
): Record<string, Tensor> {
	const B = examples.length;
	const T = Math.max(...examples.map((e) => e.phones.length));
	const F = o.frames;
	const { nMels } = AUDIO;
	const phones = new BigInt64Array(B * T);
	const phoneMask = new Float32Array(B * T);
	const logDuration = new Float32Array(B * T);
	const align = new Float32Array(B * F * T);
	const position = new Float32Array(B * F * POSITION);
	const mel = new Float32Array(B * F * nMels).fill(Math.log(1e-5));
	const frameMask = new Float32Array(B * F);
	const lossMask = new Float32Array(B * F);
	const noise = new Float32Array(B * F * LATENT);
	const usePosterior = new Float32Array(B);
	const speaker = new Float32Array(B * SPEAKER);
	examples.forEach((e, b) => {
		const n = e.phones.length;
		for (let t = 0; t < n; t++) {
			phones[b * T + t] = BigInt(e.phones[t] ?? 0);
			phoneMask[b * T + t] = 1;
			logDuration[b * T + t] = Math.log((e.durations[t] ?? 0) + 1);
		}
		speaker.set(embeddingOf(e, random), b * SPEAKER);
		const from = e.frames > F ? random.int(e.frames - F + 1) : 0;
		const count = Math.min(F, e.frames);
		const [cutBefore, cutAfter] = [from > 0, from + count < e.frames];
		let frame = 0;
		for (let t = 0; t < n; t++)
			for (let i = 0; i < (e.durations[t] ?? 0); i++, frame++) {
				const row = frame - from;
				if (row >= 0 && row < F) align[(b * F + row) * T + t] = 1;
			}
		position.set(positionRows(e.durations, from, F), b * F * POSITION);
		mel.set(
			e.mel.subarray(from * nMels, (from + count) * nMels),
			b * F * nMels,
		);
		frameMask.fill(1, b * F, b * F + count);
		lossMask.fill(
			1,
			b * F + (cutBefore ? o.edge : 0),
			b * F + count - (cutAfter ? o.edge : 0),
		);
		usePosterior[b] = random.uniform() < o.posteriorShare ? 1 : 0;
		for (let i = 0; i < F * LATENT; i++)
			noise[b * F * LATENT + i] = random.normal();
	});
	return {
		phones: int64s(phones, [B, T]),
		phone_mask: floats(phoneMask, [B, T, 1]),
		speaker: floats(speaker, [B, SPEAKER]),
		log_duration: floats(logDuration, [B, T]),
		align: floats(align, [B, F, T]),
		position: floats(position, [B, F, POSITION]),
		mel: floats(mel, [B, F, nMels]),
		frame_mask: floats(frameMask, [B, F, 1]),
		loss_mask: floats(lossMask, [B, F, 1]),
		noise: floats(noise, [B, F, LATENT]),
		use_posterior: floats(usePosterior, [B, 1, 1]),
		kl_weight: floats([klWeight], []),
	};
}
