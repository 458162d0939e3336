import { seededRandom } from "@wattvox/models";
import test from "ava";
import fc from "fast-check";
import { meanPitch, voicedPitch } from "./pitch.ts";
import type { Utterance } from "./utterance.ts";

const RATE = 16000;

/** A buzz: harmonics of `hz` falling by 6 dB an octave. */
function buzz(hz: number, seconds: number): Float32Array {
	return Float32Array.from({ length: seconds * RATE }, (_, i) => {
		let x = 0;
		for (let h = 1; h * hz < 4000; h++)
			x += Math.sin((2 * Math.PI * h * hz * i) / RATE + h) / h;
		return x * 0.2;
	});
}

const utterance = (f0: Float32Array): Utterance => ({
	name: "",
	text: "",
	key: "",
	seconds: 0,
	cepstra: { frames: 0, order: 1, data: new Float32Array(0) },
	f0,
});

test("finds the pitch of a buzz within half a per cent", (t) => {
	fc.assert(
		fc.property(fc.double({ min: 70, max: 400, noNaN: true }), (hz) => {
			const f0 = voicedPitch(buzz(hz, 0.2), RATE);
			t.true(f0.length >= 10);
			for (const f of f0) t.true(Math.abs(f / hz - 1) < 0.005, `${f} ${hz}`);
		}),
		{ numRuns: 20 },
	);
});

test("noise and silence have no pitch", (t) => {
	const random = seededRandom(1);
	const noise = Float32Array.from({ length: 8000 }, () => random() - 0.5);
	t.is(voicedPitch(noise, RATE).length, 0);
	t.is(voicedPitch(new Float32Array(8000), RATE).length, 0);
	t.true(Number.isNaN(meanPitch([utterance(new Float32Array(0))])));
});

test("the mean is geometric and over frames", (t) => {
	const m = meanPitch([
		utterance(Float32Array.of(100, 100)),
		utterance(Float32Array.of(200, 200)),
	]);
	t.true(Math.abs(m - 100 * Math.SQRT2) < 1e-3);
});
