import test from "ava";
import fc from "fast-check";
import { loudness, normaliseLoudness, peak } from "./loudness.ts";

function tone(
	hz: number,
	rate: number,
	seconds: number,
	amplitude: number,
): Float32Array {
	return Float32Array.from(
		{ length: Math.round(rate * seconds) },
		(_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rate),
	);
}

test("a full-scale tone of 997 Hz in one channel is -3.01 LUFS (BS.1770's own check)", (t) => {
	for (const rate of [16000, 22050, 44100, 48000, 96000]) {
		const got = loudness(tone(997, rate, 3, 1), rate);
		t.true(Math.abs(got + 3.01) < 0.05, `${rate} Hz: ${got}`);
	}
});

test("K-weighting lowers the bass and lifts the treble, as the standard's curve does", (t) => {
	const at = (hz: number) => loudness(tone(hz, 48000, 2, 0.5), 48000);
	t.true(Math.abs(at(4000) - at(997) - 3.3) < 0.4, `${at(4000) - at(997)}`);
	t.true(at(40) - at(997) < -5);
});

test("quiet parts are gated: pauses do not make speech softer", (t) => {
	const speech = tone(500, 16000, 4, 0.1);
	const withPauses = new Float32Array(16000 * 12);
	withPauses.set(speech, 0);
	withPauses.set(speech, 16000 * 8);
	t.true(Math.abs(loudness(speech, 16000) - loudness(withPauses, 16000)) < 0.5);
});

test("gain g adds 20 log g; normalising reaches the target", (t) => {
	const x = tone(800, 16000, 1, 0.05);
	const base = loudness(x, 16000);
	fc.assert(
		fc.property(fc.double({ min: 0.1, max: 10, noNaN: true }), (g) => {
			const scaled = x.map((v) => v * g);
			t.true(
				Math.abs(loudness(scaled, 16000) - base - 20 * Math.log10(g)) < 1e-3,
			);
			const normal = normaliseLoudness(scaled, 16000);
			t.true(Math.abs(loudness(normal.samples, 16000) + 23) < 1e-3);
			t.true(Math.abs(normal.lufs + 23) < 1e-6);
		}),
		{ numRuns: 20 },
	);
});

test("peaks never pass -1 dBFS: the loudness gives way and is told", (t) => {
	const x = tone(500, 16000, 2, 0.001);
	for (let i = 0; i < x.length; i += 4000) x[i] = 0.9;
	const normal = normaliseLoudness(x, 16000, -10);
	t.true(peak(normal.samples) <= 10 ** (-1 / 20) + 1e-6);
	t.true(normal.lufs < -10);
	t.true(Math.abs(loudness(normal.samples, 16000) - normal.lufs) < 1e-3);
});

test("silence has no loudness and cannot be normalised", (t) => {
	t.is(loudness(new Float32Array(48000), 16000), Number.NEGATIVE_INFINITY);
	t.is(loudness(new Float32Array(0), 16000), Number.NEGATIVE_INFINITY);
	t.throws(() => normaliseLoudness(new Float32Array(48000), 16000), {
		code: "E_CLIP_SILENT",
	});
});
