/** Mel-cepstra of the speech frames of one utterance, row-major [frames, order]. */
export interface Cepstra {
	frames: number;
	order: number;
	data: Float32Array;
}

/** Coefficients kept: c1..c25. c0 (loudness) is left out. */
export const CEPSTRAL_ORDER = 25;
/** Values this far below the utterance's peak (in dB) are floored: digital silence is not timbre. */
const FLOOR_DB = 60;
/** Frames whose loudest band lies this far below the peak (in dB) are pauses. */
const PAUSE_DB = 40;
/** dB of an amplitude ratio of e. */
const DB = 20 / Math.LN10;

/**
 * Mel-cepstra by DCT-II of log-mel amplitude rows, pauses dropped:
 * c_k = 2/N sum_n x_n cos(pi k (n + 1/2) / N), so that x_n = c_0/2 + sum_k c_k cos(..),
 * SPTK's convention, which makes the distance below a root mean square in dB.
 *
 * @param logMel natural log of mel amplitudes, row-major [frames, nMels]
 */
export function melCepstra(
	logMel: Float32Array,
	nMels: number,
	order: number = CEPSTRAL_ORDER,
): Cepstra {
	const total = Math.floor(logMel.length / nMels);
	let peak = Number.NEGATIVE_INFINITY;
	for (const x of logMel) if (x > peak) peak = x;
	const floor = peak - FLOOR_DB / DB;
	const basis = dctBasis(nMels, order);
	const data = new Float32Array(total * order);
	const row = new Float64Array(nMels);
	let frames = 0;
	for (let f = 0; f < total; f++) {
		let top = Number.NEGATIVE_INFINITY;
		for (let n = 0; n < nMels; n++) {
			const x = logMel[f * nMels + n] ?? floor;
			if (x > top) top = x;
			row[n] = Math.max(x, floor);
		}
		if (top < peak - PAUSE_DB / DB) continue;
		for (let k = 0; k < order; k++) {
			let sum = 0;
			for (let n = 0; n < nMels; n++)
				sum += (row[n] ?? 0) * (basis[k * nMels + n] ?? 0);
			data[frames * order + k] = sum;
		}
		frames++;
	}
	return { frames, order, data: data.slice(0, frames * order) };
}

function dctBasis(n: number, order: number): Float64Array {
	const b = new Float64Array(order * n);
	for (let k = 0; k < order; k++)
		for (let i = 0; i < n; i++)
			b[k * n + i] = (2 / n) * Math.cos((Math.PI * (k + 1) * (i + 0.5)) / n);
	return b;
}

/** 10/ln 10 sqrt(2 sum_k (a_k - b_k)^2) between two frames, in dB (Kubichek 1993). */
function frameDistance(a: Cepstra, i: number, b: Cepstra, j: number): number {
	const d = a.order;
	let sum = 0;
	for (let k = 0; k < d; k++) {
		const x = (a.data[i * d + k] ?? 0) - (b.data[j * d + k] ?? 0);
		sum += x * x;
	}
	return (DB / 2) * Math.sqrt(2 * sum);
}

/**
 * Mel-cepstral distance in dB of two utterances of one text: the mean over the
 * dynamic-time-warping path of least total distance (steps right, down,
 * diagonal). NaN if either has no speech frame.
 */
export function mcdDtw(a: Cepstra, b: Cepstra): number {
	if (a.frames === 0 || b.frames === 0) return Number.NaN;
	// One row of the table at a time; `steps` counts the path's cells.
	const cost = new Float64Array(b.frames);
	const steps = new Uint32Array(b.frames);
	for (let i = 0; i < a.frames; i++) {
		let diagCost = 0;
		let diagSteps = 0;
		for (let j = 0; j < b.frames; j++) {
			const upCost = cost[j] ?? 0;
			const upSteps = steps[j] ?? 0;
			let best = i > 0 && j > 0 ? diagCost : Number.POSITIVE_INFINITY;
			let length = diagSteps;
			if (i > 0 && upCost < best) {
				best = upCost;
				length = upSteps;
			}
			if (j > 0 && (cost[j - 1] ?? 0) < best) {
				best = cost[j - 1] ?? 0;
				length = steps[j - 1] ?? 0;
			}
			if (i === 0 && j === 0) best = 0;
			cost[j] = best + frameDistance(a, i, b, j);
			steps[j] = length + 1;
			diagCost = upCost;
			diagSteps = upSteps;
		}
	}
	const end = b.frames - 1;
	return (cost[end] ?? Number.NaN) / (steps[end] ?? Number.NaN);
}

/** Frames spread evenly over several utterances, at most `limit`: a voice's sound, whatever it says. */
export function framePool(
	utterances: readonly Cepstra[],
	limit = 2000,
): Cepstra {
	const order = utterances[0]?.order ?? CEPSTRAL_ORDER;
	const total = utterances.reduce((n, u) => n + u.frames, 0);
	const frames = Math.min(limit, total);
	const data = new Float32Array(frames * order);
	let u = 0;
	let before = 0;
	for (let f = 0; f < frames; f++) {
		const at = Math.floor((f * total) / frames);
		while (at >= before + (utterances[u]?.frames ?? 0)) {
			before += utterances[u]?.frames ?? 0;
			u++;
		}
		const from = (at - before) * order;
		data.set(utterances[u]?.data.subarray(from, from + order) ?? [], f * order);
	}
	return { frames, order, data };
}

/**
 * Mean distance in dB of each frame of `a` to its nearest in `pool`: how well
 * that voice's sounds cover these, whatever either says. NaN if one is empty.
 */
export function mcdToPool(a: Cepstra, pool: Cepstra): number {
	if (a.frames === 0 || pool.frames === 0) return Number.NaN;
	const d = a.order;
	const p = pool.data;
	let sum = 0;
	for (let i = 0; i < a.frames; i++) {
		let nearest = Number.POSITIVE_INFINITY;
		for (let j = 0; j < pool.frames; j++) {
			let square = 0;
			// Most frames are out of the running after a few coefficients.
			for (let k = 0; k < d && square < nearest; k++) {
				const x = (a.data[i * d + k] ?? 0) - (p[j * d + k] ?? 0);
				square += x * x;
			}
			if (square < nearest) nearest = square;
		}
		sum += (DB / 2) * Math.sqrt(2 * nearest);
	}
	return sum / a.frames;
}

/**
 * Mel-cepstral distance in dB of two pools of frames that need not say the same
 * words: {@link mcdToPool} averaged both ways. Pools should be of one size: a
 * larger one holds nearer neighbours.
 */
export function mcdNearest(a: Cepstra, b: Cepstra): number {
	return (mcdToPool(a, b) + mcdToPool(b, a)) / 2;
}
