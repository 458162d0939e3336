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
	/** Milliseconds in which anything was being computed, waiting for the engine's thread included. */
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

/** One step of an utterance: computes samples when it is called. */
export type Work = () => Promise<Float32Array>;

/** What an utterance needs of its voice. */
export interface Speaking {
	sampleRate: number;
	sentences: AsyncIterable<SpokenSentence> | Iterable<SpokenSentence>;
	/**
	 * The chunks of one sentence, in order.
	 * @param signal aborts when nobody wants the sentence any more
	 */
	say(
		sentence: SpokenSentence,
		index: number,
		signal: AbortSignal,
	): Promise<Work[]>;
}

/**
 * Chunks computed ahead of the listener: while the engine's thread runs one, the next must lie there
 * already, or the thread would wait for this one between any two.
 */
const AHEAD = 2;

/**
 * Speech under way: iterate it once for its samples. Each chunk is the caller's. While the caller has
 * one, the next two are computed and the next sentence is prepared, and no more: that is what a slow
 * listener costs.
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
	readonly #signal: AbortSignal | undefined;
	/** Ends what was begun ahead when the listener leaves. */
	readonly #left = new AbortController();
	#started = false;
	#samples = 0;
	/** Computations under way, and when there was none last. */
	#busy = 0;
	#busySince = 0;

	constructor(
		speaking: Speaking,
		options: { pauseMs: number; signal: AbortSignal | undefined },
	) {
		this.#speaking = speaking;
		this.#pauseMs = options.pauseMs;
		this.#signal = options.signal;
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
		const leave = () => this.#left.abort();
		this.#signal?.addEventListener("abort", leave, { once: true });
		if (this.#signal?.aborted) leave();
		const works = this.#works();
		try {
			const start = performance.now();
			for await (const samples of startedAhead(works, AHEAD)) {
				// What was computed before the end is not to be heard after it.
				if (this.#left.signal.aborted)
					throw new WattvoxError(
						"E_INTERRUPTED",
						"the utterance was abandoned",
					);
				stats.firstSoundMs ??= performance.now() - start;
				this.#samples += samples.length;
				stats.audioSeconds = this.#samples / this.sampleRate;
				stats.realTimeFactor = this.#computeMs() / 1000 / stats.audioSeconds;
				yield samples;
			}
		} finally {
			this.#signal?.removeEventListener("abort", leave);
			leave();
			this.#computeMs();
		}
	}

	/** All that is to be computed, in order, each sentence prepared while the one before it is spoken. */
	async *#works(): AsyncGenerator<Work> {
		const { stats } = this;
		const sentences = this.#prepared();
		try {
			let next = begun(sentences.next());
			for (;;) {
				const { value, done } = await next;
				if (done) break;
				const [first, ...rest] = value.chunks;
				if (stats.sentences > 0 && this.#pauseMs > 0)
					yield async () => this.#silence();
				stats.sentences++;
				stats.phones += value.phones;
				if (first) yield this.#timed(first);
				// Behind the first chunk: the first sound does not wait for the second sentence.
				next = begun(sentences.next());
				for (const work of rest) yield this.#timed(work);
			}
		} finally {
			begun(sentences.return(undefined));
		}
		if (stats.sentences === 0)
			throw stats.skipped.length > 0
				? new WattvoxError(
						"E_TEXT_UNPRONOUNCEABLE",
						`nothing in the text can be pronounced: ${stats.skipped.slice(0, 10).join(", ")}`,
					)
				: new WattvoxError("E_TEXT_EMPTY", "there is nothing to say");
	}

	/** The sentences that can be said, ready to be computed. */
	async *#prepared(): AsyncGenerator<{ phones: number; chunks: Work[] }> {
		let index = 0;
		for await (const sentence of this.#speaking.sentences) {
			this.stats.skipped.push(...sentence.skipped);
			const { length } = sentence.phones;
			if (length === 0) continue;
			const say = this.#timed(() =>
				this.#speaking.say(sentence, index++, this.#left.signal),
			);
			yield { phones: length, chunks: await say() };
		}
	}

	#timed<T>(work: () => Promise<T>): () => Promise<T> {
		return async () => {
			if (this.#busy++ === 0) this.#busySince = performance.now();
			try {
				return await work();
			} finally {
				this.#computeMs();
				this.#busy--;
			}
		};
	}

	/** Brings the time spent computing up to now. */
	#computeMs(): number {
		const now = performance.now();
		if (this.#busy > 0) this.stats.computeMs += now - this.#busySince;
		this.#busySince = now;
		return this.stats.computeMs;
	}

	#silence(): Float32Array {
		return new Float32Array(
			Math.round((this.#pauseMs / 1000) * this.sampleRate),
		);
	}
}

/**
 * The values of works begun in order, so many before they are asked for. A failure shows in its place,
 * after what was begun before it.
 */
async function* startedAhead(
	works: AsyncGenerator<Work>,
	ahead: number,
): AsyncGenerator<Float32Array> {
	const start = () =>
		begun(works.next().then(({ value, done }) => (done ? null : value())));
	try {
		const row = Array.from({ length: ahead }, start);
		for (;;) {
			const samples = await row.shift();
			if (!samples) return;
			row.push(start());
			yield samples;
		}
	} finally {
		begun(works.return(undefined));
	}
}

/** A promise whose failure shows when it is awaited, and not as unhandled if it never is. */
function begun<T>(promise: Promise<T>): Promise<T> {
	promise.catch(() => undefined);
	return promise;
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
