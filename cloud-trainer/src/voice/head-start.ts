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
	const x = new Float64Array(size).fill(1);
	const y = new Float64Array(n);
	let frames = 0;
	for (const [s, h] of hidden.entries()) {
		const mel = mels[s] as Float32Array;
		for (let f = 0; f < mel.length / n; f++, frames++) {
			for (let i = 0; i < rows; i++) x[i] = h[f * rows + i] as number;
			for (let j = 0; j < n; j++)
				y[j] = ((mel[f * n + j] as number) - MEL_MEAN) / MEL_SCALE;
			for (let i = 0; i < size; i++) {
				const xi = x[i] as number;
				for (let k = 0, at = i * size; k <= i; k++, at++)
					gram[at] = (gram[at] as number) + xi * (x[k] as number);
				for (let j = 0, at = i * n; j < n; j++, at++)
					right[at] = (right[at] as number) + xi * (y[j] as number);
			}
		}
	}
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
