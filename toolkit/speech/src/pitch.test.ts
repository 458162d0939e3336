import test from "ava";
import fc from "fast-check";
import { meanPitch, trackPitch } from "./pitch.ts";

/** A voice-like pulse train: harmonics falling 12 dB an octave, its pitch given over time. */
function voice(
	hz: (seconds: number) => number,
	seconds: number,
	rate: number,
	noise = 0,
): Float32Array {
	let phase = 0;
	let seed = 7;
	return Float32Array.from({ length: Math.round(seconds * rate) }, (_, i) => {
		const f = hz(i / rate);
		phase += (2 * Math.PI * f) / rate;
		let v = 0;
		for (let h = 1; h * f < rate / 2 && h <= 20; h++)
			v += Math.sin(h * phase + h * h) / h;
		seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
		return 0.1 * v + noise * (seed / 2 ** 31 - 1);
	});
}

test("steady pitch to within 1 %, from 70 to 450 Hz, at several rates", (t) => {
	fc.assert(
		fc.property(
			fc.double({ min: 0, max: 1, noNaN: true }),
			fc.constantFrom(8000, 16000, 22050),
			(share, rate) => {
				const f = 70 + share * ((rate < 16000 ? 400 : 450) - 70);
				const track = trackPitch(
					voice(() => f, 0.4, rate),
					rate,
				);
				t.is(track.hz.length, 40);
				for (const got of track.hz.subarray(5, 35))
					t.true(Math.abs(got / f - 1) < 0.01, `${got} for ${f} Hz at ${rate}`);
			},
		),
		{ numRuns: 25 },
	);
});

test("a glide and a vibrato are followed, in noise too", (t) => {
	const curve = (s: number) =>
		110 * 2 ** (s / 1.5) * (1 + 0.03 * Math.sin(2 * Math.PI * 5 * s));
	for (const noise of [0, 0.03]) {
		const track = trackPitch(voice(curve, 1.5, 16000, noise), 16000);
		let worst = 0;
		for (let f = 5; f < 145; f++)
			worst = Math.max(
				worst,
				Math.abs((track.hz[f] as number) / curve(f / 100) - 1),
			);
		t.true(worst < 0.04, `noise ${noise}: ${worst}`);
	}
});

test("noise and silence are unvoiced; a voice between them is found", (t) => {
	t.true(trackPitch(new Float32Array(16000), 16000).hz.every((f) => f === 0));
	const noise = voice(() => 8000, 1, 16000, 0.1);
	const unvoiced = trackPitch(noise, 16000).hz.filter((f) => f === 0).length;
	t.true(unvoiced > 90, `${unvoiced} of 100`);
	const x = new Float32Array(16000);
	x.set(
		voice(() => 200, 0.5, 16000),
		4000,
	);
	const track = trackPitch(x, 16000);
	t.true(track.hz.subarray(0, 20).every((f) => f === 0));
	t.true(track.hz.subarray(30, 70).every((f) => Math.abs(f - 200) < 3));
	t.true(track.hz.subarray(80).every((f) => f === 0));
});

test("the mean is of log pitch, over voiced frames, without outliers", (t) => {
	const mean = meanPitch(Float32Array.of(0, 100, 121, 110, 480));
	t.true(Math.abs(mean.hz - 110) < 0.1);
	t.true(Math.abs(Math.exp(mean.logHz) - mean.hz) < 1e-3);
	t.is(mean.voiced, 0.8);
	t.true(Number.isNaN(meanPitch(new Float32Array(3)).hz));
});
