import { WattvoxError } from "@wattvox/core";

/** libsamplerate's own limit on either rate and on the ratio between them. */
const MAX_RATE = 192_000;
const MAX_RATIO = 256;

/** Samples fed to the converter at a time. */
const BLOCK = 16_384;

/** Zeros after the end that flush the sinc filter's tail, in samples of the lower rate. */
const TAIL = 512;

/**
 * Change the sample rate with libsamplerate's best sinc filter (97 % bandwidth, > 140 dB signal to noise).
 * @param samples mono, any length.
 * @returns a new array of round(samples * to / from) samples, aligned in time with the input.
 * @throws WattvoxError E_USAGE when a rate is not a positive integer or their ratio is beyond 256.
 */
export async function resample(
	samples: Float32Array,
	from: number,
	to: number,
): Promise<Float32Array> {
	for (const rate of [from, to])
		if (!Number.isInteger(rate) || rate <= 0)
			throw new WattvoxError(
				"E_USAGE",
				`sample rate ${rate} is not a positive integer`,
			);
	if (from === to || samples.length === 0) return samples.slice();
	// Only the ratio matters, and the library refuses rates above 192 kHz.
	const divisor = gcd(from, to);
	const a = from / divisor;
	const b = to / divisor;
	if (Math.max(a, b) > MAX_RATE || Math.max(a / b, b / a) > MAX_RATIO)
		throw new WattvoxError(
			"E_USAGE",
			`cannot resample from ${from} Hz to ${to} Hz`,
		);
	// Loaded here and not above: a device speaks without ever resampling, and this is 20 MB of its memory.
	const { default: SampleRate } = await import(
		"@alexanderolsen/libsamplerate-js"
	);
	const converter = await SampleRate.create(1, a, b, {
		converterType: SampleRate.ConverterType.SRC_SINC_BEST_QUALITY,
	});
	try {
		const out = new Float32Array(Math.round((samples.length * to) / from));
		let done = 0;
		const feed = (part: Float32Array) => {
			const got = converter.full(part).subarray(0, out.length - done);
			out.set(got, done);
			done += got.length;
		};
		// The library's own splitting of long input breaks at some ratios, so it never sees any.
		for (let at = 0; at < samples.length; at += BLOCK)
			feed(samples.subarray(at, at + BLOCK));
		feed(new Float32Array(Math.ceil(TAIL * Math.max(1, from / to))));
		return out;
	} finally {
		converter.destroy();
	}
}

function gcd(a: number, b: number): number {
	return b === 0 ? a : gcd(b, a % b);
}
