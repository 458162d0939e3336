import { execute } from "./execute.ts";
import type { Timbre } from "./recipes.ts";

/** What sox reads: a wav file, or headerless 16-bit mono of a known rate. */
export interface SoxInput {
	path: string;
	/** Set for a headerless file. */
	rawRate?: number;
}

/**
 * Arguments by which sox plays `input` `speed` times as fast (pitch and formants move with it) and
 * colours it, as float samples of `rate` Hz on its standard output. -6 dB first, against clipping.
 */
export function soxArgs(
	input: SoxInput,
	speed: number,
	timbre: Timbre | null,
	rate: number,
): string[] {
	const raw = (r: number) => ["-t", "raw", "-r", String(r), "-c", "1"];
	const args = ["-V1", "-D"];
	if (input.rawRate !== undefined) {
		args.push(...raw(input.rawRate), "-e", "signed-integer", "-b", "16");
	}
	args.push(input.path, ...raw(rate), "-e", "floating-point", "-b", "32", "-");
	args.push("gain", "-6");
	if (speed !== 1) args.push("speed", speed.toFixed(6));
	args.push("rate", "-h", String(rate));
	if (timbre) {
		args.push(
			"bass",
			timbre.bass.toFixed(2),
			"treble",
			timbre.treble.toFixed(2),
			"3500",
		);
		args.push(
			"equalizer",
			timbre.bell.hz.toFixed(1),
			"1.2q",
			timbre.bell.gain.toFixed(2),
		);
	}
	return args;
}

/** Runs sox with {@link soxArgs}; samples at `rate` Hz. */
export async function sox(
	input: SoxInput,
	speed: number,
	timbre: Timbre | null,
	rate: number,
	signal?: AbortSignal,
): Promise<Float32Array> {
	const out = await execute("sox", soxArgs(input, speed, timbre, rate), {
		signal,
	});
	// The copy is aligned to four bytes, which a slice of a Buffer need not be.
	return new Float32Array(new Uint8Array(out).buffer);
}
