import test from "ava";
import fc from "fast-check";
import {
	BASE_MEL,
	frameCount,
	hann,
	hzToMel,
	LOG_MEL_MIN,
	logMel,
	melBasis,
	melPoints,
	melToHz,
	stft,
} from "./mel.ts";

function tone(hz: number, seconds: number, amplitude = 0.5): Float32Array {
	const rate = BASE_MEL.sampleRate;
	return Float32Array.from(
		{ length: Math.round(seconds * rate) },
		(_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rate),
	);
}

test("the mel scale is Slaney's: librosa's documented values", (t) => {
	for (const [hz, mel] of [
		[60, 0.9],
		[110, 1.65],
		[220, 3.3],
		[440, 6.6],
		[1000, 15],
		[6400, 42],
	] as const) {
		t.true(Math.abs(hzToMel(hz) - mel) < 1e-9, `${hz} Hz`);
		t.true(Math.abs(melToHz(mel) - hz) < 1e-9 * hz, `${mel} mel`);
	}
	fc.assert(
		fc.property(fc.double({ min: 0, max: 24000, noNaN: true }), (hz) => {
			t.true(Math.abs(melToHz(hzToMel(hz)) - hz) < 1e-6);
		}),
	);
});

test("filters have unit area and cover the bins between their edges alone", (t) => {
	const basis = melBasis(BASE_MEL);
	const points = melPoints(BASE_MEL);
	const binHz = BASE_MEL.sampleRate / BASE_MEL.nFft;
	t.is(basis.length, 401 * 80);
	for (let m = 0; m < 80; m++) {
		const low = points[m] as number;
		const high = points[m + 2] as number;
		let area = 0;
		for (let k = 0; k <= 400; k++) {
			const w = basis[k * 80 + m] as number;
			area += w * binHz;
			t.is(w > 0, k * binHz > low && k * binHz < high, `band ${m} bin ${k}`);
		}
		if (high - low > 10 * binHz)
			t.true(Math.abs(area - 1) < 0.05, `band ${m}: ${area}`);
	}
});

test("agrees with the definition, frame by frame", (t) => {
	const c = {
		sampleRate: 8000,
		nFft: 60,
		hop: 15,
		nMels: 10,
		fmin: 50,
		fmax: 3800,
	};
	const sound = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
		minLength: 1,
		maxLength: 200,
	});
	const window = hann(c.nFft);
	const basis = melBasis(c);
	fc.assert(
		fc.property(sound, (values) => {
			const x = Float32Array.from(values);
			const got = logMel(x, c);
			t.is(got.length, frameCount(x.length, c) * c.nMels);
			const at = (i: number): number => {
				while (i < 0 || i >= x.length) {
					if (x.length === 1) return x[0] as number;
					i = i < 0 ? -i : 2 * (x.length - 1) - i;
				}
				return x[i] as number;
			};
			for (let f = 0; f < frameCount(x.length, c); f++)
				for (let m = 0; m < c.nMels; m++) {
					let sum = 0;
					for (let k = 0; k <= c.nFft / 2; k++) {
						let re = 0;
						let im = 0;
						for (let n = 0; n < c.nFft; n++) {
							const v = at(f * c.hop - c.nFft / 2 + n) * (window[n] as number);
							re += v * Math.cos((2 * Math.PI * k * n) / c.nFft);
							im -= v * Math.sin((2 * Math.PI * k * n) / c.nFft);
						}
						sum += Math.hypot(re, im) * (basis[k * c.nMels + m] as number);
					}
					const want = Math.log(Math.max(sum, 1e-5));
					t.true(Math.abs((got[f * c.nMels + m] as number) - want) < 1e-4);
				}
		}),
		{ numRuns: 20 },
	);
});

test("a tone peaks in the band whose centre is nearest", (t) => {
	const points = melPoints(BASE_MEL);
	fc.assert(
		fc.property(fc.integer({ min: 20, max: 78 }), (m) => {
			const mel = logMel(tone(points[m + 1] as number, 0.3), BASE_MEL);
			const row = Array.from(mel.subarray(10 * 80, 11 * 80));
			t.is(row.indexOf(Math.max(...row)), m);
		}),
		{ numRuns: 30 },
	);
});

test("a tone's magnitude is amplitude times half the window's sum", (t) => {
	const magnitude = stft(tone(1000, 0.5, 0.8), BASE_MEL);
	const peak = magnitude[10 * 401 + 50] as number;
	t.true(Math.abs(peak - 0.8 * 200) < 0.01, `${peak}`);
});

test("louder by a factor g is + ln g; silence is the floor; short input has no frame", (t) => {
	const x = tone(300, 0.2);
	const one = logMel(x, BASE_MEL);
	const two = logMel(
		x.map((v) => v * 1.9),
		BASE_MEL,
	);
	const peak = one.indexOf(Math.max(...one));
	t.true(
		Math.abs((two[peak] as number) - (one[peak] as number) - Math.log(1.9)) <
			1e-4,
	);
	t.true(
		logMel(new Float32Array(1000), BASE_MEL).every(
			(v) => v === Math.fround(LOG_MEL_MIN),
		),
	);
	t.is(logMel(new Float32Array(199), BASE_MEL).length, 0);
	t.is(logMel(new Float32Array(0), BASE_MEL).length, 0);
});
