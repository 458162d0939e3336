import test from "ava";
import fc from "fast-check";
import { alignTokens, type Token } from "./viterbi.ts";

/** Log-probabilities that are certain of the given symbol per frame. */
function certain(frames: readonly number[], symbols: number): Float32Array {
	const out = new Float32Array(frames.length * symbols).fill(-9);
	frames.forEach((s, f) => {
		out[f * symbols + s] = -0.01;
	});
	return out;
}

/** Best score by trying every way to lay tokens over frames. */
function bruteForce(
	logp: Float32Array,
	frames: number,
	symbols: number,
	tokens: readonly Token[],
): number {
	const go = (f: number, t: number): number => {
		const here = logp[f * symbols + (tokens[t]?.symbol ?? 0)] ?? 0;
		if (f === frames - 1) {
			const done =
				t === tokens.length - 1 ||
				(t === tokens.length - 2 && tokens[t + 1]?.optional);
			return done ? here : Number.NEGATIVE_INFINITY;
		}
		let best = go(f + 1, t);
		if (t + 1 < tokens.length) best = Math.max(best, go(f + 1, t + 1));
		if (t + 2 < tokens.length && tokens[t + 1]?.optional)
			best = Math.max(best, go(f + 1, t + 2));
		return here + best;
	};
	const starts = [0];
	if (tokens[0]?.optional && tokens.length > 1) starts.push(1);
	return Math.max(...starts.map((t) => go(0, t)));
}

test("lays tokens where they are heard and leaves absent pauses empty", (t) => {
	const tokens: Token[] = [
		{ symbol: 0, optional: true },
		{ symbol: 1, optional: false },
		{ symbol: 0, optional: true },
		{ symbol: 2, optional: false },
		{ symbol: 0, optional: true },
	];
	const found = alignTokens(certain([0, 1, 1, 1, 2, 2], 3), 6, 3, tokens);
	t.deepEqual(
		found?.spans.map((s) => [s.start, s.end]),
		[
			[0, 1],
			[1, 4],
			[4, 4],
			[4, 6],
			[6, 6],
		],
	);
});

test("is undefined when there are more tokens than frames", (t) => {
	const token = { symbol: 0, optional: false };
	t.is(alignTokens(certain([0, 0], 1), 2, 1, [token, token, token]), undefined);
});

test("finds the best of all alignments, covers every frame once and keeps the order", (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.record({ symbol: fc.nat(2), optional: fc.boolean() }), {
				minLength: 1,
				maxLength: 5,
			}),
			fc.integer({ min: 1, max: 7 }),
			fc.infiniteStream(fc.float({ min: -5, max: 0, noNaN: true })),
			(raw, frames, numbers) => {
				// Two optional tokens in a row never occur: words stand between pauses.
				const tokens = raw.map((x, i) => ({
					...x,
					optional: x.optional && !raw[i - 1]?.optional,
				}));
				const logp = Float32Array.from(
					{ length: frames * 3 },
					() => numbers.next().value as number,
				);
				const found = alignTokens(logp, frames, 3, tokens);
				const best = bruteForce(logp, frames, 3, tokens);
				if (!found) return best === Number.NEGATIVE_INFINITY;
				let last = 0;
				for (const [i, s] of found.spans.entries()) {
					if (s.start !== last || s.end < s.start) return false;
					if (!tokens[i]?.optional && s.end === s.start) return false;
					last = s.end;
				}
				return last === frames && Math.abs(found.score * frames - best) < 1e-4;
			},
		),
		{ numRuns: 300 },
	);
	t.pass();
});

test("a band around the diagonal gives the same when the path lies in it", (t) => {
	const heard = Array.from({ length: 60 }, (_, f) => Math.floor(f / 6) % 3);
	const tokens = Array.from({ length: 10 }, (_, i) => ({
		symbol: i % 3,
		optional: false,
	}));
	const logp = certain(heard, 3);
	t.deepEqual(
		alignTokens(logp, 60, 3, tokens, 3),
		alignTokens(logp, 60, 3, tokens),
	);
});
