import test from "ava";
import { voicedPitch } from "../eval/pitch.ts";
import { activeRms, level, levelFrames, SPEECH_RMS, trim } from "./level.ts";
import { random } from "./random.ts";
import { warpFormants } from "./warp.ts";

const RATE = 16000;

/** A pulse train through one resonance: a vowel with one formant. */
function vowel(pitch: number, formant: number, seconds = 1): Float32Array {
	const out = new Float32Array(Math.round(RATE * seconds));
	const r = Math.exp((-Math.PI * 400) / RATE);
	const a = 2 * r * Math.cos((2 * Math.PI * formant) / RATE);
	const period = Math.round(RATE / pitch);
	for (let i = 0; i < out.length; i++) {
		out[i] =
			(i % period === 0 ? 0.2 : 0) +
			a * (out[i - 1] ?? 0) -
			r * r * (out[i - 2] ?? 0);
	}
	return out;
}

/** The strongest frequency between 300 Hz and 4 kHz, over all harmonics, by plain DFT. */
function strongest(samples: Float32Array, pitch: number): number {
	let best = 0;
	let top = -1;
	for (let hz = pitch; hz < 4000; hz += pitch) {
		let re = 0;
		let im = 0;
		for (let i = 4000; i < 12000; i++) {
			re += (samples[i] ?? 0) * Math.cos((2 * Math.PI * hz * i) / RATE);
			im += (samples[i] ?? 0) * Math.sin((2 * Math.PI * hz * i) / RATE);
		}
		const power = re * re + im * im;
		if (hz > 300 && power > top) [best, top] = [hz, power];
	}
	return best;
}

test("warping moves a formant and leaves the pitch", (t) => {
	const before = vowel(100, 1500);
	for (const factor of [0.8, 1.25]) {
		const after = warpFormants(before, factor);
		t.is(after.length, before.length);
		const formant = strongest(after, 100);
		t.true(Math.abs(formant / (1500 * factor) - 1) < 0.08, `${formant}`);
		const pitch = [...voicedPitch(after, RATE)].sort((a, b) => a - b);
		const middle = pitch[pitch.length >> 1] ?? 0;
		t.true(Math.abs(middle - 100) < 1, `${middle}`);
	}
	t.true(Math.abs(strongest(before, 100) - 1500) <= 100);
});

test("speech is brought to one level, pauses do not count", (t) => {
	const speech = vowel(120, 900, 0.5);
	const samples = new Float32Array(2 * speech.length);
	samples.set(speech, speech.length);
	const phones: [string, number][] = [
		["pau", speech.length],
		["aa", 2 * speech.length],
	];
	const out = level(samples, phones, 0, random(1));
	t.true(Math.abs(activeRms(out, phones) - SPEECH_RMS) < 1e-4);
	t.is(out[10], 0);
	const noisy = level(samples, phones, 1e-3, random(1));
	const floor = activeRms(noisy, [["aa", speech.length]]);
	t.true(Math.abs(floor - 1e-3) < 1e-4, `${floor}`);
});

test("a peak never passes full scale", (t) => {
	const samples = new Float32Array(4000);
	samples[5] = 0.9;
	const out = level(samples, [["t", 4000]], 0, random(1));
	t.true(Math.max(...out) <= 0.9501);
});

test("levels and ends are found without timings too", (t) => {
	const samples = new Float32Array(RATE);
	const speech = vowel(120, 900, 0.25);
	samples.set(speech, 6000);
	const cut = trim(samples, RATE);
	t.true(Math.abs(cut.length - speech.length) < 2000, `${cut.length}`);
	const out = levelFrames(samples, 0, random(1));
	const rms = activeRms(out.subarray(6000, 10000), [["aa", 4000]]);
	t.true(Math.abs(rms - SPEECH_RMS) < 0.01, `${rms}`);
	t.is(trim(new Float32Array(800), RATE).length, 0);
});
