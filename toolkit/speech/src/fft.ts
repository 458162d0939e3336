/** An in-place discrete Fourier transform of one fixed length, complex values interleaved (re, im). */
export interface Dft {
	readonly size: number;
	/** Forward transform, X[k] = sum_n x[n] exp(-2 pi i n k / size), over `2 * size` doubles. */
	forward(data: Float64Array): void;
}

const plans = new Map<number, Dft>();

/**
 * A forward DFT of any length >= 1: mixed-radix Stockham autosort (Stockham 1966), which needs no bit
 * reversal and, unlike zero padding to a power of two, keeps the exact frequency grid of lengths such as
 * 800. Costs O(size * sum of prime factors). Plans are cached by length and reuse one scratch buffer.
 */
export function dft(size: number): Dft {
	let plan = plans.get(size);
	if (!plan) {
		plan = makePlan(size);
		plans.set(size, plan);
	}
	return plan;
}

/** Factors of `n`, fours first: a radix-4 butterfly has no multiplications of its own. */
function factors(n: number): number[] {
	const found: number[] = [];
	for (let p = 4; n > 1; ) {
		if (n % p === 0) {
			found.push(p);
			n /= p;
		} else if (p === 4) p = 2;
		else if (p === 2) p = 3;
		else p = p * p > n ? n : p + 2;
	}
	return found;
}

/**
 * One stage takes n = p m values at stride s to m-point problems:
 * y[k + s (p q + t)] = w_n^(q t) sum_r x[k + s (q + m r)] w_p^(r t), for q < m and k < s.
 */
interface Stage {
	p: number;
	m: number;
	s: number;
	/** w_n^(q t), interleaved, [m, p]. */
	twiddle: Float64Array;
	/** cos and sin of 2 pi j / p, interleaved, [p]. */
	root: Float64Array;
}

function makePlan(size: number): Dft {
	const stages: Stage[] = [];
	let n = size;
	let s = 1;
	for (const p of factors(size)) {
		const m = n / p;
		const twiddle = new Float64Array(2 * n);
		for (let q = 0; q < m; q++)
			for (let t = 0; t < p; t++) {
				const angle = (-2 * Math.PI * ((q * t) % n)) / n;
				twiddle[2 * (q * p + t)] = Math.cos(angle);
				twiddle[2 * (q * p + t) + 1] = Math.sin(angle);
			}
		const root = new Float64Array(2 * p);
		for (let j = 0; j < p; j++) {
			root[2 * j] = Math.cos((2 * Math.PI * j) / p);
			root[2 * j + 1] = Math.sin((2 * Math.PI * j) / p);
		}
		stages.push({ p, m, s, twiddle, root });
		n = m;
		s *= p;
	}
	const scratch = new Float64Array(2 * size);
	return {
		size,
		forward(data) {
			let x: Float64Array = data;
			let y: Float64Array = scratch;
			for (const stage of stages) {
				if (stage.p === 4) radix4(stage, x, y);
				else if (stage.p === 2) radix2(stage, x, y);
				else radixOdd(stage, x, y);
				[x, y] = [y, x];
			}
			if (x !== data) data.set(x);
		},
	};
}

function radix2(
	{ m, s, twiddle }: Stage,
	x: Float64Array,
	y: Float64Array,
): void {
	for (let q = 0; q < m; q++) {
		const wr = twiddle[4 * q + 2] as number;
		const wi = twiddle[4 * q + 3] as number;
		for (let k = 0; k < s; k++) {
			const a = 2 * (k + s * q);
			const b = a + 2 * s * m;
			const ar = x[a] as number;
			const ai = x[a + 1] as number;
			const br = x[b] as number;
			const bi = x[b + 1] as number;
			const o = 2 * (k + s * 2 * q);
			y[o] = ar + br;
			y[o + 1] = ai + bi;
			const dr = ar - br;
			const di = ai - bi;
			y[o + 2 * s] = dr * wr - di * wi;
			y[o + 2 * s + 1] = dr * wi + di * wr;
		}
	}
}

function radix4(
	{ m, s, twiddle }: Stage,
	x: Float64Array,
	y: Float64Array,
): void {
	const step = 2 * s * m;
	for (let q = 0; q < m; q++) {
		const w = 8 * q;
		const w1r = twiddle[w + 2] as number;
		const w1i = twiddle[w + 3] as number;
		const w2r = twiddle[w + 4] as number;
		const w2i = twiddle[w + 5] as number;
		const w3r = twiddle[w + 6] as number;
		const w3i = twiddle[w + 7] as number;
		for (let k = 0; k < s; k++) {
			const i = 2 * (k + s * q);
			const ar = x[i] as number;
			const ai = x[i + 1] as number;
			const br = x[i + step] as number;
			const bi = x[i + step + 1] as number;
			const cr = x[i + 2 * step] as number;
			const ci = x[i + 2 * step + 1] as number;
			const dr = x[i + 3 * step] as number;
			const di = x[i + 3 * step + 1] as number;
			const sr = ar + cr;
			const si = ai + ci;
			const tr = ar - cr;
			const ti = ai - ci;
			const ur = br + dr;
			const ui = bi + di;
			const vr = bi - di; // -i (b - d)
			const vi = dr - br;
			let o = 2 * (k + s * 4 * q);
			y[o] = sr + ur;
			y[o + 1] = si + ui;
			o += 2 * s;
			y[o] = (tr + vr) * w1r - (ti + vi) * w1i;
			y[o + 1] = (tr + vr) * w1i + (ti + vi) * w1r;
			o += 2 * s;
			y[o] = (sr - ur) * w2r - (si - ui) * w2i;
			y[o + 1] = (sr - ur) * w2i + (si - ui) * w2r;
			o += 2 * s;
			y[o] = (tr - vr) * w3r - (ti - vi) * w3i;
			y[o + 1] = (tr - vr) * w3i + (ti - vi) * w3r;
		}
	}
}

/**
 * Odd radices pair term r with p - r: with u = a_r + a_(p-r) and v = a_r - a_(p-r), outputs t and p - t are
 * a_0 + sum u cos(2 pi r t / p) -/+ i sum v sin(2 pi r t / p).
 */
function radixOdd(
	{ p, m, s, twiddle, root }: Stage,
	x: Float64Array,
	y: Float64Array,
): void {
	const half = (p - 1) / 2;
	const u = new Float64Array(2 * half);
	const v = new Float64Array(2 * half);
	const put = (o: number, re: number, im: number, w: number) => {
		const wr = twiddle[w] as number;
		const wi = twiddle[w + 1] as number;
		y[o] = re * wr - im * wi;
		y[o + 1] = re * wi + im * wr;
	};
	for (let q = 0; q < m; q++)
		for (let k = 0; k < s; k++) {
			const i = 2 * (k + s * q);
			const a0r = x[i] as number;
			const a0i = x[i + 1] as number;
			let sumR = a0r;
			let sumI = a0i;
			for (let r = 1; r <= half; r++) {
				const a = i + 2 * s * m * r;
				const b = i + 2 * s * m * (p - r);
				const ur = (x[a] as number) + (x[b] as number);
				const ui = (x[a + 1] as number) + (x[b + 1] as number);
				u[2 * r - 2] = ur;
				u[2 * r - 1] = ui;
				v[2 * r - 2] = (x[a] as number) - (x[b] as number);
				v[2 * r - 1] = (x[a + 1] as number) - (x[b + 1] as number);
				sumR += ur;
				sumI += ui;
			}
			const base = 2 * (k + s * p * q);
			y[base] = sumR;
			y[base + 1] = sumI;
			for (let t = 1; t <= half; t++) {
				let cr = a0r;
				let ci = a0i;
				let sr = 0;
				let si = 0;
				for (let r = 1, j = 0; r <= half; r++) {
					j += t;
					if (j >= p) j -= p;
					const cos = root[2 * j] as number;
					const sin = root[2 * j + 1] as number;
					cr += (u[2 * r - 2] as number) * cos;
					ci += (u[2 * r - 1] as number) * cos;
					sr += (v[2 * r - 2] as number) * sin;
					si += (v[2 * r - 1] as number) * sin;
				}
				put(base + 2 * s * t, cr + si, ci - sr, 2 * (q * p + t));
				put(base + 2 * s * (p - t), cr - si, ci + sr, 2 * (q * p + p - t));
			}
		}
}
