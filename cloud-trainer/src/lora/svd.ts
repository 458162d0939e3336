import { normal, seededRandom } from "@wattvox/models";

/** The leading part of a singular value decomposition: M ~ U diag(s) V^T. */
export interface LowRank {
	/** Row-major [rows, rank]. */
	u: Float64Array;
	/** Descending. */
	s: Float64Array;
	/** Row-major [rank, cols]. */
	vt: Float64Array;
}

/** Columns drawn beyond the rank, and power iterations: Halko, Martinsson and Tropp's advice. */
const EXTRA = 8;
const POWERS = 3;

/**
 * The best approximation of a matrix by one of low rank, by random projection (Halko, Martinsson and
 * Tropp, arXiv 0909.4061, algorithms 4.4 and 5.1); exact up to rounding when `rank + 8` reaches the
 * smaller side.
 * @param m row-major [rows, cols]
 */
export function truncatedSvd(
	m: Float32Array | Float64Array,
	rows: number,
	cols: number,
	rank: number,
	seed = 1,
): LowRank {
	const width = Math.min(rank + EXTRA, rows, cols);
	const random = seededRandom(seed);
	// Everything is kept as rows, since rows are contiguous: `basis` is Q^T, [width, rows].
	const start = Float64Array.from({ length: width * cols }, () =>
		normal(random),
	);
	let basis = orthonormalRows(
		timesMt(start, m, width, rows, cols),
		width,
		rows,
	);
	for (let i = 0; i < POWERS; i++) {
		const across = orthonormalRows(
			timesM(basis, m, width, rows, cols),
			width,
			cols,
		);
		basis = orthonormalRows(timesMt(across, m, width, rows, cols), width, rows);
	}
	// Q^T M = R D with D's rows orthogonal (one-sided Jacobi): singular values are their lengths.
	const small = timesM(basis, m, width, rows, cols);
	const turn = jacobiRows(small, width, cols);
	const lengths = Array.from({ length: width }, (_, i) => norm(small, i, cols));
	const order = lengths
		.map((_, i) => i)
		.sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0));
	const r = Math.min(rank, width);
	const out: LowRank = {
		u: new Float64Array(rows * r),
		s: new Float64Array(r),
		vt: new Float64Array(r * cols),
	};
	for (let k = 0; k < r; k++) {
		const from = order[k] as number;
		const length = lengths[from] ?? 0;
		out.s[k] = length;
		for (let j = 0; j < cols; j++)
			out.vt[k * cols + j] = length
				? (small[from * cols + j] ?? 0) / length
				: 0;
		for (let i = 0; i < rows; i++) {
			let sum = 0;
			for (let l = 0; l < width; l++)
				sum += (turn[from * width + l] ?? 0) * (basis[l * rows + i] ?? 0);
			out.u[i * r + k] = sum;
		}
	}
	return out;
}

/** x [width, rows] times M: [width, cols]. */
function timesM(
	x: Float64Array,
	m: ArrayLike<number>,
	width: number,
	rows: number,
	cols: number,
): Float64Array {
	const out = new Float64Array(width * cols);
	for (let i = 0; i < rows; i++)
		for (let w = 0; w < width; w++) {
			const f = x[w * rows + i] ?? 0;
			for (let j = 0, at = i * cols, to = w * cols; j < cols; j++)
				out[to + j] = (out[to + j] ?? 0) + f * (m[at + j] ?? 0);
		}
	return out;
}

/** x [width, cols] times M^T: [width, rows]. */
function timesMt(
	x: Float64Array,
	m: ArrayLike<number>,
	width: number,
	rows: number,
	cols: number,
): Float64Array {
	const out = new Float64Array(width * rows);
	for (let i = 0; i < rows; i++)
		for (let w = 0; w < width; w++) {
			let sum = 0;
			for (let j = 0, at = i * cols, by = w * cols; j < cols; j++)
				sum += (x[by + j] ?? 0) * (m[at + j] ?? 0);
			out[w * rows + i] = sum;
		}
	return out;
}

function dot(x: Float64Array, a: number, b: number, length: number): number {
	let sum = 0;
	for (let j = 0; j < length; j++)
		sum += (x[a * length + j] ?? 0) * (x[b * length + j] ?? 0);
	return sum;
}

const norm = (x: Float64Array, row: number, length: number): number =>
	Math.sqrt(dot(x, row, row, length));

/** Gram and Schmidt, twice over, in place; rows that depend on earlier ones become zero. */
function orthonormalRows(
	x: Float64Array,
	count: number,
	length: number,
): Float64Array {
	for (let i = 0; i < count; i++) {
		const before = norm(x, i, length);
		for (let pass = 0; pass < 2; pass++)
			for (let k = 0; k < i; k++) {
				const f = dot(x, i, k, length);
				for (let j = 0; j < length; j++)
					x[i * length + j] =
						(x[i * length + j] ?? 0) - f * (x[k * length + j] ?? 0);
			}
		const after = norm(x, i, length);
		const scale = after > before * 1e-12 ? 1 / after : 0;
		for (let j = 0; j < length; j++)
			x[i * length + j] = (x[i * length + j] ?? 0) * scale;
	}
	return x;
}

/** Turns rows against each other until all are orthogonal; returns the turns, [count, count]. */
function jacobiRows(
	x: Float64Array,
	count: number,
	length: number,
): Float64Array {
	const turns = new Float64Array(count * count);
	for (let i = 0; i < count; i++) turns[i * count + i] = 1;
	const rotate = (
		y: Float64Array,
		width: number,
		[p, q, c, s]: readonly [number, number, number, number],
	) => {
		for (let j = 0; j < width; j++) {
			const [a, b] = [y[p * width + j] ?? 0, y[q * width + j] ?? 0];
			y[p * width + j] = c * a - s * b;
			y[q * width + j] = s * a + c * b;
		}
	};
	for (let sweep = 0, off = 1; sweep < 30 && off > 1e-12; sweep++) {
		off = 0;
		for (let p = 0; p < count; p++)
			for (let q = p + 1; q < count; q++) {
				const [a, b] = [dot(x, p, p, length), dot(x, q, q, length)];
				const g = dot(x, p, q, length);
				const size = Math.sqrt(a * b);
				if (size === 0 || Math.abs(g) < 1e-15 * size) continue;
				off = Math.max(off, Math.abs(g) / size);
				const zeta = (b - a) / (2 * g);
				const t =
					(zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta));
				const c = 1 / Math.sqrt(1 + t * t);
				rotate(x, length, [p, q, c, c * t]);
				rotate(turns, count, [p, q, c, c * t]);
			}
	}
	return turns;
}
