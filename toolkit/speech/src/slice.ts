/** A stretch of a recording. */
export interface Segment {
	/** Seconds from the recording's start. */
	start: number;
	end: number;
	/** The same in samples: `samples.subarray(from, to)`. */
	from: number;
	to: number;
}

/** How a recording is cut; the defaults suit speech for training. */
export interface SliceOptions {
	/** Seconds; segments are at least this long where the recording allows. */
	shortest?: number;
	/** Seconds; no segment is longer. */
	longest?: number;
	/** Seconds of quiet that count as a pause. */
	pause?: number;
	/** Seconds of quiet kept at both ends of a segment. */
	margin?: number;
}

/** Seconds between energy frames. */
const STEP = 0.01;

/** Levels of 25 ms windows every 10 ms, dB relative to full scale, floored at -100. */
function levels(samples: Float32Array, sampleRate: number): Float64Array {
	const step = Math.round(STEP * sampleRate);
	const half = Math.round(0.0125 * sampleRate);
	// Hum and offset are not speech: a one-pole high pass at about 60 Hz comes first.
	const pole = Math.exp((-2 * Math.PI * 60) / sampleRate);
	const sums = new Float64Array(samples.length + 1);
	let last = 0;
	let y = 0;
	for (let i = 0; i < samples.length; i++) {
		const x = samples[i] as number;
		y = pole * (y + x - last);
		last = x;
		sums[i + 1] = (sums[i] as number) + y * y;
	}
	const count = Math.max(1, Math.floor(samples.length / step));
	return Float64Array.from({ length: count }, (_, f) => {
		const a = Math.max(0, f * step + (step >> 1) - half);
		const b = Math.min(samples.length, f * step + (step >> 1) + half);
		const power =
			((sums[b] as number) - (sums[a] as number)) / Math.max(1, b - a);
		return Math.max(-100, 10 * Math.log10(power + 1e-12));
	});
}

/**
 * Which 10 ms frames hold speech. The threshold lies between the recording's own noise floor (10th percentile)
 * and its speech level (95th), so neither gain nor steady noise moves it; gaps below `pause` are closed.
 * @returns one byte per frame, 1 for speech.
 */
export function detectSpeech(
	samples: Float32Array,
	sampleRate: number,
	pause = 0.2,
): Uint8Array {
	const level = levels(samples, sampleRate);
	const sorted = level.toSorted();
	const at = (q: number) =>
		sorted[Math.floor(q * (sorted.length - 1))] as number;
	const top = at(0.95);
	// A recording without a pause has its floor in its softest speech; nothing 35 dB below the top is quiet.
	const floor = Math.max(at(0.1), top - 60);
	const threshold = Math.min(
		Math.max(floor + 0.3 * (top - floor), floor + 4),
		top - 12,
	);
	const speech = Uint8Array.from(level, (l) =>
		l > threshold && l > -75 ? 1 : 0,
	);
	close(speech, 0, Math.round(pause / STEP), 1);
	// A click is not speech.
	close(speech, 1, Math.round(0.05 / STEP), 0);
	return speech;
}

/** Runs of `value` shorter than `length` become `other`, but for those at the ends. */
function close(
	frames: Uint8Array,
	value: number,
	length: number,
	other: number,
): void {
	for (let i = 0; i < frames.length; ) {
		let j = i;
		while (j < frames.length && frames[j] === value) j++;
		const inside = value === 1 || (i > 0 && j < frames.length);
		if (j > i && j - i < length && inside) frames.fill(other, i, j);
		i = Math.max(j, i + 1);
	}
}

interface Cut {
	/** Frames: the segment before ends at `left`, the one after starts at `right`. */
	left: number;
	right: number;
	cost: number;
}

/**
 * Cut a recording at its pauses into segments of about 2 to 8 seconds: of all ways to choose cuts, the one
 * with the least sum of penalties for lengths outside the range and for cuts at short pauses (dynamic
 * programming). Speech that runs on longer than `longest` is cut where it is softest.
 * @returns segments in order, without overlap, the quiet between them left out; [] when there is no speech.
 */
export function slice(
	samples: Float32Array,
	sampleRate: number,
	{ shortest = 2, longest = 8, pause = 0.2, margin = 0.1 }: SliceOptions = {},
): Segment[] {
	const speech = detectSpeech(samples, sampleRate, pause);
	const cuts = candidates(speech, levels(samples, sampleRate), longest, margin);
	const chosen = choose(cuts, shortest, longest, margin);
	const total = samples.length / sampleRate;
	return chosen.map(([a, b]) => {
		const start = Math.max(
			0,
			a.right * STEP - (a.left === a.right ? 0 : margin),
		);
		const end = Math.min(
			total,
			b.left * STEP + (b.left === b.right ? 0 : margin),
		);
		return {
			start,
			end,
			from: Math.round(start * sampleRate),
			to: Math.min(samples.length, Math.round(end * sampleRate)),
		};
	});
}

/** Places where a segment may end: the pauses and, in speech without one for too long, soft spots. */
function candidates(
	speech: Uint8Array,
	level: Float64Array,
	longest: number,
	margin: number,
): Cut[] {
	const cuts: Cut[] = [];
	let end = 0;
	for (let i = 0; i < speech.length; ) {
		while (i < speech.length && speech[i] === 0) i++;
		if (i === speech.length) break;
		const length = (i - end) * STEP;
		// Half a second of quiet is as good a place as any.
		cuts.push({
			left: end,
			right: i,
			cost: cuts.length === 0 ? 0 : 1 / (0.3 + Math.min(length, 0.5)),
		});
		const start = i;
		while (i < speech.length && speech[i] === 1) i++;
		if ((i - start) * STEP > longest - 2 * margin)
			cuts.push(...softSpots(level, start, i));
		end = i;
	}
	if (cuts.length > 0) cuts.push({ left: end, right: speech.length, cost: 0 });
	return cuts;
}

/** The softest frame of every half second inside a run of speech. */
function softSpots(level: Float64Array, start: number, end: number): Cut[] {
	const spots: Cut[] = [];
	const width = Math.round(0.5 / STEP);
	for (let a = start + width; a + width < end; a += width) {
		let best = a;
		for (let f = a; f < a + width; f++)
			if ((level[f] as number) < (level[best] as number)) best = f;
		spots.push({ left: best, right: best, cost: 20 });
	}
	return spots;
}

function choose(
	cuts: Cut[],
	shortest: number,
	longest: number,
	margin: number,
): [Cut, Cut][] {
	const least = new Float64Array(cuts.length).fill(Number.POSITIVE_INFINITY);
	const from = new Int32Array(cuts.length).fill(-1);
	least[0] = 0;
	for (let j = 1; j < cuts.length; j++)
		for (let i = j - 1; i >= 0; i--) {
			const b = cuts[j] as Cut;
			const length = (b.left - (cuts[i] as Cut).right) * STEP + 2 * margin;
			// The nearest cut is always allowed, so that there is a way through.
			if (length > longest && i < j - 1) break;
			const middle = (shortest + longest) / 2;
			const cost =
				(least[i] as number) +
				b.cost +
				Math.max(0, shortest - length) * 10 +
				Math.max(0, length - longest) * 100 +
				6 * ((length - middle) / middle) ** 2;
			if (cost < (least[j] as number)) {
				least[j] = cost;
				from[j] = i;
			}
		}
	const chosen: [Cut, Cut][] = [];
	for (let j = cuts.length - 1; j > 0; j = from[j] as number)
		chosen.unshift([cuts[from[j] as number] as Cut, cuts[j] as Cut]);
	return chosen;
}
