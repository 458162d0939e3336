import { seededRandom } from "@wattvox/models";
import { cosine, type Estimate, quantile } from "./stats.ts";

/** Equal error rate and the score at which both errors are equal. */
export interface Eer {
	eer: number;
	threshold: number;
}

/** All pairs of one trial list, sorted by falling score. */
interface Trials {
	score: Float32Array;
	a: Uint32Array;
	b: Uint32Array;
}

/**
 * Equal error rate: the point on the detection trade-off where misses (same
 * voice refused) and false alarms (another voice accepted) are equally
 * frequent; between two thresholds the rates are interpolated linearly.
 * NaN when either list is empty.
 */
export function equalErrorRate(
	same: ArrayLike<number>,
	other: ArrayLike<number>,
): Eer {
	const n = same.length + other.length;
	const score = new Float32Array(n);
	const weight = new Float64Array(n);
	for (let i = 0; i < same.length; i++) {
		score[i] = same[i] ?? 0;
		weight[i] = 1;
	}
	for (let i = 0; i < other.length; i++) {
		score[same.length + i] = other[i] ?? 0;
		weight[same.length + i] = -1;
	}
	const order = byFallingScore(score);
	return walk(
		Float32Array.from(order, (i) => score[i] ?? 0),
		Float64Array.from(order, (i) => weight[i] ?? 0),
	);
}

/**
 * Equal error rate over all pairs of embeddings, scored by cosine, with a 95 %
 * interval by resampling speakers (pairs of one speaker are not independent).
 * Speakers with one embedding still serve as impostors.
 */
export function speakerEer(
	embeddings: readonly Float32Array[],
	speakers: readonly string[],
	opts: { resamples?: number; seed?: number } = {},
): Eer & { interval: Estimate; speakers: number; pairs: number } {
	const names = [...new Set(speakers)];
	const ids = speakers.map((s) => names.indexOf(s));
	const trials = allPairs(embeddings, ids);
	const pairs = trials.score.length;
	const weights = new Float64Array(pairs);
	const rate = (count: Float64Array | Uint32Array): Eer => {
		for (let p = 0; p < pairs; p++) {
			const a = trials.a[p] ?? 0;
			const b = trials.b[p] ?? 0;
			// Two draws of one speaker are not impostors to each other.
			weights[p] =
				a === b ? (count[a] ?? 0) : -(count[a] ?? 0) * (count[b] ?? 0);
		}
		return walk(trials.score, weights);
	};
	const point = rate(new Uint32Array(names.length).fill(1));
	const random = seededRandom(opts.seed ?? 1);
	const draws: number[] = [];
	for (let r = 0; r < (opts.resamples ?? 200); r++) {
		const count = new Uint32Array(names.length);
		for (let i = 0; i < names.length; i++) {
			const s = Math.floor(random() * names.length);
			count[s] = (count[s] ?? 0) + 1;
		}
		const { eer } = rate(count);
		if (!Number.isNaN(eer)) draws.push(eer);
	}
	return {
		...point,
		interval: {
			value: point.eer,
			low: quantile(draws, 0.025),
			high: quantile(draws, 0.975),
		},
		speakers: names.length,
		pairs,
	};
}

function allPairs(e: readonly Float32Array[], ids: readonly number[]): Trials {
	const n = (e.length * (e.length - 1)) / 2;
	const score = new Float32Array(n);
	const a = new Uint32Array(n);
	const b = new Uint32Array(n);
	let p = 0;
	e.forEach((x, i) => {
		for (let j = 0; j < i; j++) {
			score[p] = cosine(x, e[j] as Float32Array);
			a[p] = ids[i] ?? 0;
			b[p] = ids[j] ?? 0;
			p++;
		}
	});
	const order = byFallingScore(score);
	const pick = (x: Uint32Array) => order.map((i) => x[i] ?? 0);
	return {
		score: Float32Array.from(order, (i) => score[i] ?? 0),
		a: pick(a),
		b: pick(b),
	};
}

function byFallingScore(score: Float32Array): Uint32Array {
	return Uint32Array.from(score, (_, i) => i).sort(
		(i, j) => (score[j] ?? 0) - (score[i] ?? 0),
	);
}

/** Positive weights are same-voice trials, negative ones impostors; scores fall. */
function walk(score: ArrayLike<number>, weight: Float64Array): Eer {
	let same = 0;
	let other = 0;
	for (const w of weight) {
		if (w > 0) same += w;
		else other -= w;
	}
	if (same === 0 || other === 0)
		return { eer: Number.NaN, threshold: Number.NaN };
	let hit = 0;
	let alarm = 0;
	let miss = 1;
	let fa = 0;
	for (let p = 0; p < weight.length; ) {
		const s = score[p] ?? 0;
		// Ties are accepted together: no threshold can part them.
		for (; p < weight.length && score[p] === s; p++) {
			const w = weight[p] ?? 0;
			if (w > 0) hit += w;
			else alarm -= w;
		}
		const miss2 = 1 - hit / same;
		const fa2 = alarm / other;
		if (fa2 >= miss2) {
			const gap = miss - fa + (fa2 - miss2);
			const t = gap > 0 ? (miss - fa) / gap : 0;
			return { eer: fa + t * (fa2 - fa), threshold: s };
		}
		miss = miss2;
		fa = fa2;
	}
	return { eer: miss, threshold: Number.NEGATIVE_INFINITY };
}
