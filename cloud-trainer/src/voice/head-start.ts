import { MEL_MEAN, MEL_SCALE } from "@wattvox/models";
import { floats, type Tensor } from "@wattvox/onnx";

/** The decoder's last layer: hidden rows to log-mel. */
export const LAST = { weight: "decoder.out.w", bias: "decoder.out.b" } as const;

/** Weight of a change's square beside the mean squared error of a frame. */
const RIDGE = 0.01;

/**
 * The last layer that says a clip best while the rest stays as it is, in closed form: for hidden rows h and
 * log-mels y it lowers |y - h (W + dW) - b - db|^2 / frames + RIDGE |dW|^2, with y on the models' scale.
 * Normal equations by Cholesky, in double precision.
 * @param w [rows, n]
 * @param b [n]
 * @param hidden of each sentence [frames, rows], flat
 * @param mels of the same sentences [frames, n], flat
 */
export function solvedLayer(
	w: Tensor,
	b: Tensor,
	hidden: readonly Float32Array[],
	mels: readonly Float32Array[],
): { w: Tensor; b: Tensor } {
	const [rows = 0, n = 0] = w.dims;
	const size = rows + 1;
	const gram = new Float64Array(size * size);
	const right = new Float64Array(size * n);
	const before = Float64Array.from([...w.data, ...b.data], Number);
	let frames = 0;
	const sums = new NormalSums(size, n, gram, right);
	for (const [s, h] of hidden.entries()) {
		const mel = mels[s] as Float32Array;
		for (let f = 0; f < mel.length / n; f++, frames++)
			sums.add(h, f * rows, mel, f * n);
	}
	sums.end();
	// What is left of y behind the layer as it is: x^T (y - x W) = x^T y - (x^T x) W.
	for (let i = 0; i < size; i++)
		for (let k = 0; k < size; k++) {
			const g = gram[k < i ? i * size + k : k * size + i] as number;
			for (let j = 0; j < n; j++)
				right[i * n + j] =
					(right[i * n + j] as number) - g * (before[k * n + j] as number);
		}
	for (let i = 0; i < rows; i++)
		gram[i * size + i] = (gram[i * size + i] as number) + RIDGE * frames;
	solveInPlace(gram, right, size, n);
	const after = Float32Array.from(
		right,
		(change, i) => (before[i] as number) + change,
	);
	return {
		w: floats(after.slice(0, rows * n), w.dims),
		b: floats(after.slice(rows * n), b.dims),
	};
}

/**
 * Mean distance of the log-mels that a last layer makes to those that were recorded, nepers.
 * @param w [rows, n]
 * @param b [n]
 * @param hidden of each sentence [frames, rows], flat
 * @param mels of the same sentences [frames, n], flat
 */
export function layerDistance(
	w: Tensor,
	b: Tensor,
	hidden: readonly Float32Array[],
	mels: readonly Float32Array[],
): number {
	let [sum, count] = [0, 0];
	for (const [s, h] of hidden.entries()) {
		const mel = mels[s] as Float32Array;
		const made = layerMels(w, b, h);
		for (let i = 0; i < mel.length; i++)
			sum += Math.abs((made[i] as number) - (mel[i] as number));
		count += mel.length;
	}
	return sum / count;
}

/**
 * The log-mels that a last layer makes of a sentence's hidden rows, [frames, n].
 * @param w [rows, n]
 * @param b [n]
 * @param hidden [frames, rows], flat
 */
export function layerMels(
	w: Tensor,
	b: Tensor,
	hidden: Float32Array,
): Float32Array {
	const [rows = 0, n = 0] = w.dims;
	const [W, B] = [Float64Array.from(w.data, Number), b.data];
	const made = new Float32Array((hidden.length / rows) * n);
	const y = new Float64Array(n);
	for (let f = 0; f * n < made.length; f++) {
		for (let j = 0; j < n; j++) y[j] = Number(B[j]);
		for (let i = 0; i < rows; i++) {
			const x = hidden[f * rows + i] as number;
			for (let j = 0, at = i * n; j < n; j++, at++)
				y[j] = (y[j] as number) + x * (W[at] as number);
		}
		for (let j = 0; j < n; j++)
			made[f * n + j] = MEL_MEAN + MEL_SCALE * (y[j] as number);
	}
	return made;
}

/** Frames that are summed in one pass over the matrices: those are read and written so much less often. */
const TOGETHER = 8;

/** Sums x^T x (its lower half) and x^T y over frames, x with a one at its end, y on the models' scale. */
class NormalSums {
	readonly #size: number;
	readonly #n: number;
	readonly #gram: Float64Array;
	readonly #right: Float64Array;
	/** Column by column, so that the frames of one lie together; those not there are zero. */
	readonly #x: Float64Array;
	readonly #y: Float64Array;
	#held = 0;

	constructor(
		size: number,
		n: number,
		gram: Float64Array,
		right: Float64Array,
	) {
		this.#size = size;
		this.#n = n;
		this.#gram = gram;
		this.#right = right;
		this.#x = new Float64Array(size * TOGETHER);
		this.#y = new Float64Array(n * TOGETHER);
	}

	/** A frame: hidden row and log-mel, each from an index on. */
	add(hidden: Float32Array, i: number, mel: Float32Array, j: number): void {
		const at = this.#held;
		const last = this.#size - 1;
		for (let k = 0; k < last; k++)
			this.#x[k * TOGETHER + at] = hidden[i + k] as number;
		this.#x[last * TOGETHER + at] = 1;
		for (let k = 0; k < this.#n; k++)
			this.#y[k * TOGETHER + at] =
				((mel[j + k] as number) - MEL_MEAN) / MEL_SCALE;
		if (++this.#held === TOGETHER) this.end();
	}

	/** Sums what was added last. */
	end(): void {
		const size = this.#size;
		for (let i = 0; i < size; i++) {
			this.#row(i, this.#x, i + 1, this.#gram, i * size);
			this.#row(i, this.#y, this.#n, this.#right, i * this.#n);
		}
		this.#x.fill(0);
		this.#held = 0;
	}

	/** Adds column i of x times each of the first columns of `by` to a row. */
	#row(
		i: number,
		by: Float64Array,
		columns: number,
		to: Float64Array,
		start: number,
	): void {
		const x = this.#x;
		const from = i * TOGETHER;
		const [x0, x1, x2, x3, x4, x5, x6, x7] = [
			x[from] as number,
			x[from + 1] as number,
			x[from + 2] as number,
			x[from + 3] as number,
			x[from + 4] as number,
			x[from + 5] as number,
			x[from + 6] as number,
			x[from + 7] as number,
		];
		for (let k = 0, at = 0; k < columns; k++, at += TOGETHER)
			to[start + k] =
				(to[start + k] as number) +
				x0 * (by[at] as number) +
				x1 * (by[at + 1] as number) +
				x2 * (by[at + 2] as number) +
				x3 * (by[at + 3] as number) +
				x4 * (by[at + 4] as number) +
				x5 * (by[at + 5] as number) +
				x6 * (by[at + 6] as number) +
				x7 * (by[at + 7] as number);
	}
}

/** Solves A X = B for a positive definite A, of which the lower half is read; X comes in B's place. */
function solveInPlace(
	a: Float64Array,
	b: Float64Array,
	size: number,
	n: number,
): void {
	// A = L L^T, L in the lower half.
	for (let i = 0; i < size; i++)
		for (let j = 0; j <= i; j++) {
			let v = a[i * size + j] as number;
			for (let k = 0; k < j; k++)
				v -= (a[i * size + k] as number) * (a[j * size + k] as number);
			a[i * size + j] =
				i === j ? Math.sqrt(v) : v / (a[j * size + j] as number);
		}
	const subtract = (row: number, from: number, factor: number) => {
		for (let c = 0; c < n; c++)
			b[row * n + c] =
				(b[row * n + c] as number) - factor * (b[from * n + c] as number);
	};
	const divide = (row: number) => {
		for (let c = 0; c < n; c++)
			b[row * n + c] =
				(b[row * n + c] as number) / (a[row * size + row] as number);
	};
	for (let i = 0; i < size; i++) {
		for (let k = 0; k < i; k++) subtract(i, k, a[i * size + k] as number);
		divide(i);
	}
	for (let i = size - 1; i >= 0; i--) {
		for (let k = i + 1; k < size; k++)
			subtract(i, k, a[k * size + i] as number);
		divide(i);
	}
}
