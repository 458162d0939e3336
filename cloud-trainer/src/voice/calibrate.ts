import {
	type AcousticConfig,
	AUDIO,
	MEL_MEAN,
	MEL_SCALE,
} from "@wattvox/models";
import { floats, mergeIntoWeights, type Tensor } from "@wattvox/onnx";
import { BLANK, teacherOutputs } from "../graphs/acoustic.ts";
import { withWeights } from "../pretrain/base.ts";
import type { VoiceData } from "./adapt-options.ts";
import { LAST, layerMels } from "./head-start.ts";
import { bringLast } from "./opening.ts";
import { sentenceRows } from "./rows.ts";

/** A mel-cepstrum's spread is never changed by more than this factor: a minute says no more. */
const MOST = 2;
/** Frames whose loudest band lies this far (nepers) below the sentence's peak are pauses: 40 dB. */
const PAUSE = 40 / (20 / Math.LN10);

/** Mean and standard deviation of each mel-cepstrum over the frames of speech. */
export interface CepstralStats {
	mean: Float64Array;
	std: Float64Array;
}

/** The orthonormal DCT-II as rows, [n, n]: its inverse is its transpose. */
export function cepstralBasis(n: number): Float64Array {
	const basis = new Float64Array(n * n);
	for (let k = 0; k < n; k++)
		for (let i = 0; i < n; i++)
			basis[k * n + i] =
				Math.sqrt((k ? 2 : 1) / n) * Math.cos((Math.PI * k * (i + 0.5)) / n);
	return basis;
}

/**
 * Statistics of log-mels, each row-major [frames, n]; pauses do not count.
 * @throws RangeError when no frame is speech
 */
export function cepstralStats(
	mels: readonly Float32Array[],
	n: number,
): CepstralStats {
	const basis = cepstralBasis(n);
	const mean = new Float64Array(n);
	const std = new Float64Array(n);
	let count = 0;
	for (const mel of mels) {
		const rows = Array.from({ length: mel.length / n }, (_, f) =>
			mel.subarray(f * n, (f + 1) * n),
		);
		const tops = rows.map((row) => Math.max(...row));
		const peak = Math.max(...tops);
		for (const [f, row] of rows.entries()) {
			if ((tops[f] as number) < peak - PAUSE) continue;
			count++;
			for (let k = 0; k < n; k++) {
				let c = 0;
				for (let i = 0; i < n; i++)
					c += (basis[k * n + i] as number) * (row[i] as number);
				mean[k] = (mean[k] as number) + c;
				std[k] = (std[k] as number) + c * c;
			}
		}
	}
	if (count === 0) throw new RangeError("no frame of speech");
	for (let k = 0; k < n; k++) {
		const m = (mean[k] as number) / count;
		mean[k] = m;
		std[k] = Math.sqrt(Math.max(0, (std[k] as number) / count - m * m));
	}
	return { mean, std };
}

/** An affine map of log-mel rows: x -> x matrix + offset. */
export interface MelMap {
	/** Row-major [n, n]. */
	matrix: Float64Array;
	offset: Float64Array;
}

/**
 * The map that gives one set of mel-cepstra the mean and the spread of another: c' = m_to + g (c - m_from)
 * with g = std_to / std_from, within a factor of two; the first cepstrum, loudness, stays. It is the
 * global variance of a voice restored (Toda and Tokuda 2007), here as one linear map.
 */
export function matching(from: CepstralStats, to: CepstralStats): MelMap {
	const n = from.mean.length;
	const basis = cepstralBasis(n);
	const matrix = new Float64Array(n * n);
	const offset = new Float64Array(n);
	for (let k = 0; k < n; k++) {
		const ratio = (to.std[k] as number) / (from.std[k] as number);
		const g =
			k > 0 && Number.isFinite(ratio)
				? Math.min(MOST, Math.max(1 / MOST, ratio))
				: 1;
		const at = from.mean[k] as number;
		const shift = (k > 0 ? (to.mean[k] as number) : at) - g * at;
		for (let i = 0; i < n; i++) {
			const d = basis[k * n + i] as number;
			offset[i] = (offset[i] as number) + d * shift;
			for (let j = 0; j < n; j++)
				matrix[i * n + j] =
					(matrix[i * n + j] as number) + d * g * (basis[k * n + j] as number);
		}
	}
	return { matrix, offset };
}

/**
 * A linear layer followed by the models' mel scale and then by a map, as one layer: for
 * y = (h W + b) scale + mean, the W' and b' whose y' is y matrix + offset.
 * @param w [rows, n]
 * @param b [n]
 */
export function folded(
	w: Tensor,
	b: Tensor,
	{ matrix, offset }: MelMap,
): { w: Tensor; b: Tensor } {
	const n = offset.length;
	const rows = w.dims[0] as number;
	const through = (from: Tensor, row: number, j: number) => {
		let sum = 0;
		for (let i = 0; i < n; i++)
			sum += Number(from.data[row * n + i]) * (matrix[i * n + j] as number);
		return sum;
	};
	const W = Float32Array.from({ length: rows * n }, (_, at) =>
		through(w, Math.floor(at / n), at % n),
	);
	const B = Float32Array.from({ length: n }, (_, j) => {
		let column = 0;
		for (let i = 0; i < n; i++) column += matrix[i * n + j] as number;
		const moved = MEL_MEAN * (column - 1) + (offset[j] as number);
		return through(b, 0, j) + moved / MEL_SCALE;
	});
	return { w: floats(W, w.dims), b: floats(B, b.dims) };
}

/**
 * Ends an adaptation: what a model learns by the mean error of mel frames comes out smoother than
 * speech is. The adapted model speaks the clip's sentences with the clip's own timing, and the spread and
 * mean of its mel-cepstra are matched to the clip's by its last linear layer, which the adapter then
 * brings whole. Costs one forward pass over the clip and nothing at synthesis.
 * @param weights of the base
 * @param adapter PEFT tensors, in place: the last layer's pair goes, its weight and bias come
 * @param hidden of each sentence the rows that the last layer reads, where they are known: the pass is
 * then spared
 */
export async function calibrate(
	c: AcousticConfig,
	weights: ReadonlyMap<string, Tensor>,
	adapter: Map<string, Tensor>,
	scale: number,
	voice: VoiceData,
	threads: number,
	hidden?: readonly Float32Array[],
): Promise<void> {
	const adapted = mergeIntoWeights(weights, adapter, scale);
	const last = {
		w: adapted.get(LAST.weight) as Tensor,
		b: adapted.get(LAST.bias) as Tensor,
	};
	const graph = () => withWeights(teacherOutputs(c, BLANK, false), adapted);
	const spoken = hidden
		? hidden.map((rows) => layerMels(last.w, last.b, rows))
		: (await sentenceRows(graph(), ["t.mel"], voice, threads)).flat();
	const clip = voice.examples.map((e) => Float32Array.from(e.mel));
	const map = matching(
		cepstralStats(spoken, AUDIO.nMels),
		cepstralStats(clip, AUDIO.nMels),
	);
	const { w, b } = folded(last.w, last.b, map);
	bringLast(adapter, w, b);
}
