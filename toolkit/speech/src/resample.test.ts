import test from "ava";
import fc from "fast-check";
import { resample } from "./resample.ts";

function tone(hz: number, rate: number, length: number): Float32Array {
	return Float32Array.from(
		{ length },
		(_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate),
	);
}

/** Signal to noise in dB of `got` against `want`, edges left out. */
function snr(got: Float32Array, want: Float32Array, edge: number): number {
	let signal = 0;
	let noise = 0;
	for (let i = edge; i < want.length - edge; i++) {
		signal += (want[i] as number) ** 2;
		noise += ((got[i] as number) - (want[i] as number)) ** 2;
	}
	return 10 * Math.log10(signal / noise);
}

for (const [from, to] of [
	[44100, 16000],
	[48000, 16000],
	[22050, 16000],
	[8000, 16000],
	[16000, 44100],
	[384000, 16000],
] as const)
	test(`a tone keeps its time and level: ${from} to ${to}`, async (t) => {
		const n = Math.round(0.5 * from);
		const got = await resample(tone(1000, from, n), from, to);
		t.is(got.length, Math.round((n * to) / from));
		const db = snr(got, tone(1000, to, got.length), 400);
		t.true(db > 80, `${db} dB`);
	});

test("what the lower rate cannot hold is gone", async (t) => {
	const got = await resample(tone(10_000, 44100, 22050), 44100, 16000);
	const worst = got
		.subarray(400, -400)
		.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
	t.true(worst < 1e-4, `${worst}`);
});

test("there and back keeps a band-limited sound, to its last sample", async (t) => {
	const tones = fc.array(fc.integer({ min: 50, max: 6500 }), {
		minLength: 1,
		maxLength: 4,
	});
	await fc.assert(
		fc.asyncProperty(
			tones,
			fc.integer({ min: 4000, max: 9000 }),
			async (hz, length) => {
				const x = new Float32Array(length);
				for (const f of hz)
					for (const [i, v] of tone(f, 16000, length).entries())
						x[i] = (x[i] as number) + v;
				const back = await resample(
					await resample(x, 16000, 44100),
					44100,
					16000,
				);
				t.is(back.length, length);
				t.true(snr(back, x, 400) > 80);
			},
		),
		{ numRuns: 8 },
	);
});

test("a long sound is resampled whole", async (t) => {
	const n = 48000 * 25;
	const got = await resample(tone(440, 48000, n), 48000, 16000);
	t.is(got.length, 16000 * 25);
	t.true(snr(got, tone(440, 16000, got.length), 400) > 80);
	t.true(got.subarray(-4000).some((v) => Math.abs(v) > 0.4));
});

test("the same rate copies; nothing stays nothing; wrong rates are refused", async (t) => {
	const x = tone(100, 16000, 10);
	const y = await resample(x, 16000, 16000);
	t.deepEqual(y, x);
	t.not(y, x);
	t.is((await resample(new Float32Array(0), 44100, 16000)).length, 0);
	await t.throwsAsync(resample(x, 0, 16000), { code: "E_USAGE" });
	await t.throwsAsync(resample(x, 44100.5, 16000), { code: "E_USAGE" });
	await t.throwsAsync(resample(x, 1, 16000), { code: "E_USAGE" });
});
