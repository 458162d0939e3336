/** A pitch track, a value every 10 ms; frame i is centred on i * 10 ms. */
export interface PitchTrack {
	/** Fundamental frequency in hertz, 0 where unvoiced. */
	hz: Float32Array;
	/** Frames per second. */
	rate: number;
}

/** Limits of the search. */
export interface PitchOptions {
	/** Hertz. */
	lowest?: number;
	highest?: number;
}

const RATE = 100;
/** Correlation window, seconds. */
const WINDOW = 0.0075;

// Talkin's constants (RAPT, 1995).
const CANDIDATES = 20;
const CANDIDATE_SHARE = 0.3;
const LAG_WEIGHT = 0.3;
const FREQUENCY_WEIGHT = 0.02;
const OCTAVE = 0.35;
// His depends on loudness and spectrum around the change; this is its middle.
const VOICING_CHANGE = 0.25;

/** Voiced runs of fewer frames are noise that happened to correlate. */
const SHORTEST_RUN = 4;

interface Candidate {
	/** Hertz; 0 is unvoiced. */
	hz: number;
	cost: number;
	total: number;
	previous: number;
}

/**
 * Track the pitch of speech after Talkin's RAPT: peaks of the normalised cross-correlation
 * phi(lag) = sum x[i] x[i + lag] / sqrt(e(0) e(lag)) are candidates, and the path through them with the least
 * cost (weak peaks, jumps in frequency, changes of voicing) wins. Octave errors lose to continuity.
 * @param samples mono, at `sampleRate`. From 16 kHz on; at 8 kHz a period above 400 Hz is too few samples,
 *   and some of them are taken for an octave lower.
 */
export function trackPitch(
	samples: Float32Array,
	sampleRate: number,
	{ lowest = 60, highest = 500 }: PitchOptions = {},
): PitchTrack {
	const frames = Math.floor((samples.length / sampleRate) * RATE);
	const track = correlate(samples, sampleRate, frames, lowest, highest);
	return { hz: shortest(track), rate: RATE };
}

/**
 * Mean of log F0 over voiced frames, and its exponential. Frames further than an octave from the median are
 * tracking errors or creak and stay out; NaN where nothing is voiced.
 * @param hz of frames, of one track or of several one after the other; 0 where unvoiced
 */
export function meanPitch(hz: Float32Array): {
	hz: number;
	logHz: number;
	voiced: number;
} {
	const all = hz
		.filter((f) => f > 0)
		.map(Math.log)
		.sort();
	const median = all[all.length >> 1] ?? Number.NaN;
	const kept = all.filter((v) => Math.abs(v - median) < Math.LN2);
	const logHz = kept.reduce((a, v) => a + v, 0) / kept.length;
	return {
		hz: Math.exp(logHz),
		logHz,
		voiced: all.length / Math.max(1, hz.length),
	};
}

function correlate(
	samples: Float32Array,
	sampleRate: number,
	frames: number,
	lowest: number,
	highest: number,
): Candidate[][] {
	const minLag = Math.max(2, Math.floor(sampleRate / highest));
	const maxLag = Math.ceil(sampleRate / lowest);
	// Two periods of the lowest voice would blur fast pitch; one short window per lag does (RAPT).
	const width = Math.max(Math.round(WINDOW * sampleRate), minLag);
	const reach = width + maxLag + 2;
	const phi = new Float64Array(maxLag + 2);
	const part = new Float64Array(reach + maxLag);
	// Keeps digital silence and the faintest noise unvoiced.
	let power = 0;
	for (const v of samples) power += v * v;
	const floor = width * (1e-7 + 1e-4 * (power / Math.max(1, samples.length)));
	const track: Candidate[][] = [];
	for (let f = 0; f < frames; f++) {
		const centre = Math.round((f * sampleRate) / RATE);
		const start = centre - Math.floor((width + maxLag) / 2);
		let mean = 0;
		for (let i = 0; i < reach; i++) {
			part[i] = samples[start + i] ?? 0;
			mean += part[i] as number;
		}
		mean /= reach;
		for (let i = 0; i < reach; i++) part[i] = (part[i] as number) - mean;
		let e0 = 0;
		for (let i = 0; i < width; i++) e0 += (part[i] as number) ** 2;
		let eLag = 0;
		for (let i = minLag - 1; i < minLag - 1 + width; i++)
			eLag += (part[i] as number) ** 2;
		let best = 0;
		for (let lag = minLag - 1; lag <= maxLag + 1; lag++) {
			let sum = 0;
			for (let i = 0; i < width; i++)
				sum += (part[i] as number) * (part[i + lag] as number);
			const v = sum / Math.sqrt((e0 + floor) * (eLag + floor));
			phi[lag] = v;
			if (v > best) best = v;
			eLag += (part[lag + width] as number) ** 2 - (part[lag] as number) ** 2;
		}
		track.push(peaks(phi, minLag, maxLag, best, sampleRate));
	}
	return track;
}

/** The strongest peaks of one frame, with unvoiced as the last candidate. */
function peaks(
	phi: Float64Array,
	minLag: number,
	maxLag: number,
	best: number,
	sampleRate: number,
): Candidate[] {
	const found: { lag: number; value: number }[] = [];
	for (let lag = minLag; lag <= maxLag; lag++) {
		const [a, b, c] = [
			phi[lag - 1] as number,
			phi[lag] as number,
			phi[lag + 1] as number,
		];
		if (b <= CANDIDATE_SHARE * best || b < a || b <= c) continue;
		// A parabola through three points finds the lag between samples.
		const shift = (0.5 * (a - c)) / (a - 2 * b + c);
		found.push({ lag: lag + shift, value: b - 0.25 * (a - c) * shift });
	}
	found.sort((x, y) => y.value - x.value);
	const list: Candidate[] = found
		.slice(0, CANDIDATES)
		.map(({ lag, value }) => ({
			hz: sampleRate / lag,
			// Longer lags cost a little: a period's multiples correlate as well as itself.
			cost: 1 - value * (1 - (LAG_WEIGHT * lag) / maxLag),
			total: 0,
			previous: -1,
		}));
	list.push({ hz: 0, cost: Math.max(0, best), total: 0, previous: -1 });
	return list;
}

function step(from: Candidate, to: Candidate): number {
	if (from.hz === 0 && to.hz === 0) return 0;
	if (from.hz === 0 || to.hz === 0) return VOICING_CHANGE;
	const jump = Math.abs(Math.log(to.hz / from.hz));
	return (
		FREQUENCY_WEIGHT * RATE * Math.min(jump, OCTAVE + Math.abs(jump - Math.LN2))
	);
}

/** The path of least cost (Viterbi). */
function shortest(track: Candidate[][]): Float32Array {
	const hz = new Float32Array(track.length);
	let last: Candidate[] = [];
	for (const frame of track) {
		for (const candidate of frame) {
			let least = 0;
			for (const [i, before] of last.entries()) {
				const total = before.total + step(before, candidate);
				if (i === 0 || total < least) {
					least = total;
					candidate.previous = i;
				}
			}
			candidate.total = least + candidate.cost;
		}
		last = frame;
	}
	let at = last.reduce(
		(best, c, i) => (c.total < (last[best] as Candidate).total ? i : best),
		0,
	);
	for (let f = track.length - 1; f >= 0; f--) {
		const chosen = (track[f] as Candidate[])[at] as Candidate;
		hz[f] = chosen.hz;
		at = chosen.previous;
	}
	for (let f = 0; f < hz.length; f++) {
		let end = f;
		while (end < hz.length && (hz[end] as number) > 0) end++;
		if (end - f < SHORTEST_RUN) hz.fill(0, f, end);
		f = end;
	}
	return hz;
}
