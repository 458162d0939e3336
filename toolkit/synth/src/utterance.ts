import { WattvoxError } from "@wattvox/core";
import type { SpokenSentence } from "./frontend.ts";

export interface SpeakOptions {
	/** 1 is the voice's own pace, 2 twice as fast. 0.25 to 4. */
	speed?: number;
	/** 32-bit seed of the noise: equal text, options and seed give equal samples. Default 1. */
	seed?: number;
	/** Silence between two sentences, ms. Default 120. */
	pauseMs?: number;
	/** Abandons the utterance: the iteration throws E_INTERRUPTED. */
	signal?: AbortSignal | undefined;
	/** Run each sentence as one piece instead of in chunks: for comparing the two. */
	whole?: boolean;
}

/** What an utterance took so far. */
export interface UtteranceStats {
	/** Seconds of sound made. */
	audioSeconds: number;
	/** Milliseconds spent computing, waiting for the engine's thread included. */
	computeMs: number;
	/** From the start to the first samples, ms; null before there are any. */
	firstSoundMs: number | null;
	/** Seconds of computing per second of sound; null before there is any. */
	realTimeFactor: number | null;
	sentences: number;
	phones: number;
	/** What could not be pronounced and was left out. */
	skipped: string[];
}

/** What an utterance needs of its voice. */
export interface Speaking {
	sampleRate: number;
	sentences: AsyncIterable<SpokenSentence> | Iterable<SpokenSentence>;
	/** The chunks of one sentence, in order. Each call of the promise computes one. */
	say(
		sentence: SpokenSentence,
		index: number,
	): Promise<(() => Promise<Float32Array>)[]>;
}

/**
 * Speech under way: iterate it once for its samples. Each chunk is the caller's. The next chunk is
 * computed while the caller has this one, and no further: a slow listener costs one chunk of memory.
 */
export class Utterance implements AsyncIterable<Float32Array> {
	readonly sampleRate: number;
	readonly stats: UtteranceStats = {
		audioSeconds: 0,
		computeMs: 0,
		firstSoundMs: null,
		realTimeFactor: null,
		sentences: 0,
		phones: 0,
		skipped: [],
	};
	readonly #speaking: Speaking;
	readonly #pauseMs: number;
	#started = false;
	#samples = 0;

	constructor(speaking: Speaking, pauseMs: number) {
		this.#speaking = speaking;
		this.#pauseMs = pauseMs;
		this.sampleRate = speaking.sampleRate;
	}

	[Symbol.asyncIterator](): AsyncIterator<Float32Array> {
		if (this.#started)
			throw new WattvoxError("E_BUG", "an utterance is heard only once");
		this.#started = true;
		return this.#chunks();
	}

	/** All samples in one array. */
	async samples(): Promise<Float32Array> {
		const chunks: Float32Array[] = [];
		for await (const chunk of this) chunks.push(chunk);
		return concat(chunks);
	}

	async *#chunks(): AsyncGenerator<Float32Array> {
		const { stats } = this;
		const start = performance.now();
		for await (const sentence of this.#speaking.sentences) {
			stats.skipped.push(...sentence.skipped);
			if (sentence.phones.length === 0) continue;
			if (stats.sentences > 0 && this.#pauseMs > 0)
				yield this.#count(this.#silence());
			const chunks = await this.#timed(() =>
				this.#speaking.say(sentence, stats.sentences),
			);
			stats.phones += sentence.phones.length;
			stats.sentences++;
			let ahead = this.#ahead(chunks[0]);
			for (let i = 1; ahead; i++) {
				const samples = await ahead;
				stats.firstSoundMs ??= performance.now() - start;
				ahead = this.#ahead(chunks[i]);
				yield this.#count(samples);
			}
		}
		if (stats.sentences === 0)
			throw stats.skipped.length > 0
				? new WattvoxError(
						"E_TEXT_UNPRONOUNCEABLE",
						`nothing in the text can be pronounced: ${stats.skipped.slice(0, 10).join(", ")}`,
					)
				: new WattvoxError("E_TEXT_EMPTY", "there is nothing to say");
	}

	/** Starts a chunk; its failure shows when it is awaited, and not as unhandled if it never is. */
	#ahead(
		work: (() => Promise<Float32Array>) | undefined,
	): Promise<Float32Array> | undefined {
		if (!work) return undefined;
		const promise = this.#timed(work);
		promise.catch(() => undefined);
		return promise;
	}

	async #timed<T>(work: () => Promise<T>): Promise<T> {
		const start = performance.now();
		try {
			return await work();
		} finally {
			this.stats.computeMs += performance.now() - start;
		}
	}

	#silence(): Float32Array {
		return new Float32Array(
			Math.round((this.#pauseMs / 1000) * this.sampleRate),
		);
	}

	#count(samples: Float32Array): Float32Array {
		const { stats } = this;
		this.#samples += samples.length;
		stats.audioSeconds = this.#samples / this.sampleRate;
		stats.realTimeFactor = stats.computeMs / 1000 / stats.audioSeconds;
		return samples;
	}
}

/** Arrays one after the other. */
export function concat(chunks: readonly Float32Array[]): Float32Array {
	const out = new Float32Array(chunks.reduce((n, c) => n + c.length, 0));
	let at = 0;
	for (const chunk of chunks) {
		out.set(chunk, at);
		at += chunk.length;
	}
	return out;
}
