/** One state of a phone sequence to be aligned. */
export interface Token {
	/** Index of the phone in the aligner's symbols. */
	symbol: number;
	/** True for a pause that may be absent. */
	optional: boolean;
}

/** Where a token lies: [start, end) in frames; empty when an optional token is absent. */
export interface Span {
	start: number;
	end: number;
}

const STAY = 0;
const STEP = 1;
const SKIP = 2;

/**
 * Monotonic alignment search: the best way to lay tokens over frames in order, each token at least one
 * frame, optional ones possibly none (Viterbi over log-probabilities; the search of Glow-TTS,
 * arXiv 2005.11129, with optional states).
 * @param logp log-probabilities [frames, symbols], row-major
 * @param band tokens on each side of the diagonal to search; all when absent
 * @returns spans per token and the mean log-probability per frame; undefined when there are more
 * tokens than frames
 */
export function alignTokens(
	logp: Float32Array,
	frames: number,
	symbols: number,
	tokens: readonly Token[],
	band = tokens.length,
): { spans: Span[]; score: number } | undefined {
	const n = tokens.length;
	const needed = tokens.filter((t) => !t.optional).length;
	if (n === 0 || needed > frames) return undefined;
	const symbol = Int32Array.from(tokens, (t) => t.symbol);
	const optional = Uint8Array.from(tokens, (t) => (t.optional ? 1 : 0));
	// Moves are kept for the band only: a ten-minute clip has tens of thousands of frames.
	const width = Math.min(n, 2 * band + 1);
	const lowOf = (f: number): number =>
		Math.max(
			0,
			Math.min(
				n - width,
				Math.round((f / Math.max(1, frames - 1)) * (n - 1)) - band,
			),
		);
	const moves = new Uint8Array(frames * width);
	let previous = new Float64Array(n).fill(Number.NEGATIVE_INFINITY);
	let current = new Float64Array(n);
	const at = (f: number, t: number): number =>
		logp[f * symbols + (symbol[t] ?? 0)] ?? 0;
	previous[0] = at(0, 0);
	if (optional[0] && n > 1) previous[1] = at(0, 1);
	for (let f = 1; f < frames; f++) {
		current.fill(Number.NEGATIVE_INFINITY);
		const low = lowOf(f);
		for (let t = low; t < low + width; t++) {
			let best = previous[t] ?? Number.NEGATIVE_INFINITY;
			let move = STAY;
			const step =
				t > 0
					? (previous[t - 1] ?? Number.NEGATIVE_INFINITY)
					: Number.NEGATIVE_INFINITY;
			if (step > best) {
				best = step;
				move = STEP;
			}
			if (t > 1 && optional[t - 1]) {
				const skip = previous[t - 2] ?? Number.NEGATIVE_INFINITY;
				if (skip > best) {
					best = skip;
					move = SKIP;
				}
			}
			if (best === Number.NEGATIVE_INFINITY) continue;
			current[t] = best + at(f, t);
			moves[f * width + t - low] = move;
		}
		[previous, current] = [current, previous];
	}
	let t = n - 1;
	if (optional[t] && n > 1 && (previous[n - 2] ?? 0) > (previous[t] ?? 0))
		t = n - 2;
	const score = previous[t] ?? Number.NEGATIVE_INFINITY;
	if (score === Number.NEGATIVE_INFINITY) return undefined;
	const spans: Span[] = tokens.map(() => ({ start: -1, end: -1 }));
	let end = frames;
	for (let f = frames - 1; f > 0; f--) {
		const move = moves[f * width + t - lowOf(f)];
		if (move === STAY) continue;
		spans[t] = { start: f, end };
		end = f;
		t -= move === SKIP ? 2 : 1;
	}
	spans[t] = { start: 0, end };
	// Absent tokens stand empty at the place where they would have been.
	let last = 0;
	for (const span of spans) {
		if (span.start < 0) {
			span.start = last;
			span.end = last;
		}
		last = span.end;
	}
	return { spans, score: score / frames };
}
