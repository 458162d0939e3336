import type { Example } from "./features.ts";

/** How stretches are drawn from a recording; all in seconds. */
export interface SamplerOptions {
	/** Shortest and longest stretch. */
	min: number;
	max: number;
	/** By how much a stretch's start may move either way. */
	jitter: number;
	/** Least distance between the starts of two stretches. */
	spacing: number;
}

export const SAMPLER: SamplerOptions = {
	min: 1,
	max: 5,
	jitter: 0.5,
	spacing: 1,
};

/** A stretch of a recording, in seconds. */
export interface Stretch {
	from: number;
	to: number;
}

/**
 * Stretches of random length, evenly laid out over a recording and then moved at random. They may
 * overlap, but no two begin within `spacing` of each other. A recording shorter than `min` is one
 * stretch.
 * @param random uniform in [0, 1)
 */
export function sampleStretches(
	seconds: number,
	random: () => number,
	o: SamplerOptions = SAMPLER,
): Stretch[] {
	if (seconds <= o.min) return [{ from: 0, to: seconds }];
	const out: Stretch[] = [];
	const step = Math.max(o.spacing, (o.min + o.max) / 2);
	let last = Number.NEGATIVE_INFINITY;
	for (let at = 0; at <= seconds - o.min; at += step) {
		const moved = at + (2 * random() - 1) * o.jitter;
		const from = Math.min(
			Math.max(0, moved, last + o.spacing),
			seconds - o.min,
		);
		const length = o.min + random() * (o.max - o.min);
		if (from - last < o.spacing) break;
		out.push({ from, to: Math.min(seconds, from + length) });
		last = from;
	}
	return out;
}

/**
 * The whole phones of an example that lie in a stretch, as an example of its own; at least one phone.
 * @param framesPerSecond of the mel rows
 */
export function cropExample(
	e: Example,
	{ from, to }: Stretch,
	framesPerSecond: number,
): Example {
	const [low, high] = [from * framesPerSecond, to * framesPerSecond];
	let frame = 0;
	let [first, end, start] = [-1, 0, 0];
	for (const [i, d] of e.durations.entries()) {
		const middle = frame + d / 2;
		if (middle >= low && (middle <= high || first < 0)) {
			if (first < 0) [first, start] = [i, frame];
			end = i + 1;
		}
		frame += d;
	}
	if (first < 0)
		[first, end, start] = [
			e.durations.length - 1,
			e.durations.length,
			frame - (e.durations.at(-1) ?? 0),
		];
	const durations = e.durations.slice(first, end);
	const frames = durations.reduce((a, b) => a + b, 0);
	const width = e.mel.length / e.frames;
	const hop = e.wave.length / e.frames;
	return {
		...e,
		phones: e.phones.slice(first, end),
		durations,
		frames,
		mel: e.mel.slice(start * width, (start + frames) * width),
		wave: e.wave.slice(start * hop, (start + frames) * hop),
	};
}
