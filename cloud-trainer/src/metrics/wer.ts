import { bootstrap, type Estimate } from "./stats.ts";

/** Word errors of one sentence. */
export interface WordErrors {
	words: number;
	substitutions: number;
	deletions: number;
	insertions: number;
	errors: number;
}

/**
 * Levenshtein distance over words, substitutions, deletions and insertions all
 * costing 1 (the scoring of NIST's sclite, but with equal weights). Among
 * alignments of equal cost the one with most substitutions is counted.
 */
export function wordErrors(
	ref: readonly string[],
	hyp: readonly string[],
): WordErrors {
	const m = hyp.length;
	// Each cell: [errors, substitutions, deletions, insertions].
	type Cell = readonly [number, number, number, number];
	let row: Cell[] = Array.from({ length: m + 1 }, (_, j) => [j, 0, 0, j]);
	for (const word of ref) {
		const above = row;
		const [e, s, d, i] = above[0] as Cell;
		row = [[e + 1, s, d + 1, i]];
		for (let j = 1; j <= m; j++) {
			const diag = above[j - 1] as Cell;
			const up = above[j] as Cell;
			const left = row[j - 1] as Cell;
			if (hyp[j - 1] === word) {
				row.push(diag);
			} else if (diag[0] <= up[0] && diag[0] <= left[0]) {
				row.push([diag[0] + 1, diag[1] + 1, diag[2], diag[3]]);
			} else if (up[0] <= left[0]) {
				row.push([up[0] + 1, up[1], up[2] + 1, up[3]]);
			} else {
				row.push([left[0] + 1, left[1], left[2], left[3] + 1]);
			}
		}
	}
	const [errors, substitutions, deletions, insertions] = row[m] as Cell;
	return { words: ref.length, substitutions, deletions, insertions, errors };
}

/**
 * Lower-cased words without punctuation. Numbers must be spelled out before
 * (`@wattvox/speech`); apostrophes inside a word stay, as in CMUdict.
 */
export function plainWords(text: string): string[] {
	return (
		text
			.toLowerCase()
			.replace(/[\u2018\u2019]/g, "'")
			.match(/[\p{L}\p{N}]+(?:'[\p{L}]+)*/gu) ?? []
	);
}

/** Total errors / total words; NaN when there are no words. */
export function corpusWer(scores: readonly WordErrors[]): Estimate {
	return bootstrap(scores.length, (ix) => ratio(scores, ix));
}

/**
 * WER of `b` over WER of `a` on the same sentences, resampled in pairs so that
 * a hard sentence counts on both sides.
 *
 * @throws RangeError when the lists differ in length
 */
export function werRatio(
	a: readonly WordErrors[],
	b: readonly WordErrors[],
): Estimate {
	if (a.length !== b.length) throw new RangeError("unpaired word errors");
	return bootstrap(a.length, (ix) => ratio(b, ix) / ratio(a, ix));
}

function ratio(scores: readonly WordErrors[], ix: Uint32Array): number {
	let errors = 0;
	let words = 0;
	for (const i of ix) {
		errors += scores[i]?.errors ?? 0;
		words += scores[i]?.words ?? 0;
	}
	return words > 0 ? errors / words : Number.NaN;
}
