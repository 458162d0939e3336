import FFT from "fft.js";

/** An in-place discrete Fourier transform of one fixed length, complex values interleaved (re, im). */
export interface Dft {
	readonly size: number;
	/** Forward transform, X[k] = sum_n x[n] exp(-2 pi i n k / size), over `2 * size` doubles. */
	forward(data: Float64Array): void;
}

const plans = new Map<number, Dft>();

/**
 * A forward DFT of any length >= 1. Powers of two go straight to fft.js; other lengths use Bluestein's
 * chirp transform on it (Bluestein 1970), which keeps the exact frequency grid where zero padding would
 * move it. Plans are cached by length and reuse their buffers: not to be shared across threads.
 */
export function dft(size: number): Dft {
	let plan = plans.get(size);
	if (!plan) {
		plan = (size & (size - 1)) === 0 ? powerOfTwo(size) : bluestein(size);
		plans.set(size, plan);
	}
	return plan;
}

function powerOfTwo(size: number): Dft {
	if (size === 1) return { size, forward: () => {} };
	const fft = new FFT(size);
	const out = new Float64Array(2 * size);
	return {
		size,
		forward(data) {
			fft.transform(out, data);
			data.set(out);
		},
	};
}

/**
 * n k = (n^2 + k^2 - (k - n)^2) / 2 turns the DFT into a convolution with the chirp
 * w[n] = exp(-pi i n^2 / N): X[k] = w[k] * sum_n (x[n] w[n]) conj(w[k - n]).
 */
function bluestein(size: number): Dft {
	let m = 1;
	while (m < 2 * size - 1) m *= 2;
	const fft = new FFT(m);
	const chirp = new Float64Array(2 * size);
	for (let n = 0; n < size; n++) {
		// n^2 mod 2N keeps the angle small, so large n lose no precision.
		const angle = (-Math.PI * ((n * n) % (2 * size))) / size;
		chirp[2 * n] = Math.cos(angle);
		chirp[2 * n + 1] = Math.sin(angle);
	}
	const kernel = new Float64Array(2 * m);
	for (let n = 0; n < size; n++) {
		const re = chirp[2 * n] as number;
		const im = -(chirp[2 * n + 1] as number);
		kernel[2 * n] = re;
		kernel[2 * n + 1] = im;
		if (n > 0) {
			kernel[2 * (m - n)] = re;
			kernel[2 * (m - n) + 1] = im;
		}
	}
	const kernelHat = new Float64Array(2 * m);
	fft.transform(kernelHat, kernel);
	// The inverse transform below is conj(FFT(conj(z))) / m; the 1/m is folded in here.
	for (let i = 0; i < 2 * m; i++) kernelHat[i] = (kernelHat[i] as number) / m;
	const a = new Float64Array(2 * m);
	const b = new Float64Array(2 * m);
	return {
		size,
		forward(data) {
			a.fill(0, 2 * size);
			for (let i = 0; i < 2 * size; i += 2) {
				const xr = data[i] as number;
				const xi = data[i + 1] as number;
				const wr = chirp[i] as number;
				const wi = chirp[i + 1] as number;
				a[i] = xr * wr - xi * wi;
				a[i + 1] = xr * wi + xi * wr;
			}
			fft.transform(b, a);
			for (let i = 0; i < 2 * m; i += 2) {
				const xr = b[i] as number;
				const xi = b[i + 1] as number;
				const hr = kernelHat[i] as number;
				const hi = kernelHat[i + 1] as number;
				b[i] = xr * hr - xi * hi;
				b[i + 1] = -(xr * hi + xi * hr);
			}
			fft.transform(a, b);
			for (let i = 0; i < 2 * size; i += 2) {
				const xr = a[i] as number;
				const xi = -(a[i + 1] as number);
				const wr = chirp[i] as number;
				const wi = chirp[i + 1] as number;
				data[i] = xr * wr - xi * wi;
				data[i + 1] = xr * wi + xi * wr;
			}
		},
	};
}
