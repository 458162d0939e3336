import { AUDIO, MEL_MEAN, MEL_SCALE, seededRandom } from "@wattvox/models";
import {
	floats,
	loraKey,
	mergeIntoWeights,
	savedKey,
	type Tensor,
} from "@wattvox/onnx";
import test from "ava";
import fc from "fast-check";
import { teacherOutputs } from "../graphs/acoustic.ts";
import {
	type CepstralStats,
	calibrate,
	cepstralBasis,
	cepstralStats,
	folded,
	matching,
} from "./calibrate.ts";
import { solvedLast } from "./opening.ts";

const N = 8;

/** Rows around `level` whose spread differs by band. */
function rows(seed: number, level: number, spread: number): Float32Array {
	const random = seededRandom(seed);
	return Float32Array.from(
		{ length: 60 * N },
		(_, i) => level + spread * (1 + (i % N) / N) * (random() - 0.5),
	);
}
const mapped = (
	mel: Float32Array,
	{ matrix, offset }: ReturnType<typeof matching>,
) =>
	Float32Array.from(mel, (_, at) => {
		const [f, j] = [Math.floor(at / N), at % N];
		let sum = offset[j] ?? 0;
		for (let i = 0; i < N; i++)
			sum += (mel[f * N + i] ?? 0) * (matrix[i * N + j] ?? 0);
		return sum;
	});
const near = (a: ArrayLike<number>, b: ArrayLike<number>, within: number) =>
	Array.from(a).every((x, i) => Math.abs(x - (b[i] ?? Number.NaN)) <= within);

test("the basis is orthonormal", (t) => {
	const d = cepstralBasis(N);
	for (let a = 0; a < N; a++)
		for (let b = 0; b < N; b++) {
			let dot = 0;
			for (let i = 0; i < N; i++)
				dot += (d[a * N + i] ?? 0) * (d[b * N + i] ?? 0);
			t.true(Math.abs(dot - (a === b ? 1 : 0)) < 1e-12);
		}
});

test("mapped rows have the mean and spread that were asked for; loudness stays", (t) => {
	fc.assert(
		fc.property(
			fc.integer({ min: 1, max: 1e6 }),
			fc.double({ min: -1, max: 1, noNaN: true }),
			fc.double({ min: 0.6, max: 1.6, noNaN: true }),
			(seed, level, spread) => {
				const from = [rows(seed, -4, 1)];
				const to = [rows(seed + 1, -4 + level, spread)];
				const [a, b] = [cepstralStats(from, N), cepstralStats(to, N)];
				const got = cepstralStats(
					from.map((m) => mapped(m, matching(a, b))),
					N,
				);
				t.true(near(got.mean.slice(1), b.mean.slice(1), 1e-4));
				// Where the factor is not held back.
				for (let k = 1; k < N; k++) {
					const ratio = (b.std[k] ?? 0) / (a.std[k] ?? 0);
					if (ratio > 0.5 && ratio < 2)
						t.true(Math.abs((got.std[k] ?? 0) - (b.std[k] ?? 0)) < 1e-4);
				}
				t.true(Math.abs((got.mean[0] ?? 0) - (a.mean[0] ?? 0)) < 1e-4);
				t.true(Math.abs((got.std[0] ?? 0) - (a.std[0] ?? 0)) < 1e-4);
			},
		),
		{ numRuns: 30 },
	);
});

test("no spread is changed by more than a factor of two, nor one that is none", (t) => {
	const of = (std: number): CepstralStats => ({
		mean: new Float64Array(N),
		std: new Float64Array(N).fill(std),
	});
	const gain = (a: number, b: number) => {
		const { matrix } = matching(of(a), of(b));
		const d = cepstralBasis(N);
		// d_1 matrix d_1: the second cepstrum's own factor.
		let sum = 0;
		for (let i = 0; i < N; i++)
			for (let j = 0; j < N; j++)
				sum += (d[N + i] ?? 0) * (matrix[i * N + j] ?? 0) * (d[N + j] ?? 0);
		return sum;
	};
	t.true(Math.abs(gain(1, 5) - 2) < 1e-9);
	t.true(Math.abs(gain(5, 1) - 0.5) < 1e-9);
	t.true(Math.abs(gain(1, 1.5) - 1.5) < 1e-9);
	t.true(Math.abs(gain(0, 0) - 1) < 1e-9);
});

test("pauses do not count, and silence alone is refused", (t) => {
	const speech = rows(3, -2, 1);
	const pause = new Float32Array(20 * N).fill(-11);
	const both = new Float32Array([...speech, ...pause]);
	t.deepEqual(cepstralStats([both], N), cepstralStats([speech], N));
	t.throws(() => cepstralStats([], N), { instanceOf: RangeError });
});

test("a map folded into the last layer is the map behind it", (t) => {
	const random = seededRandom(5);
	const drawn = (...dims: number[]) =>
		floats(
			Array.from({ length: dims.reduce((a, d) => a * d, 1) }, () => random()),
			dims,
		);
	const [h, w, b] = [drawn(1, 5), drawn(5, N), drawn(N)];
	const layer = (W: Tensor, B: Tensor) =>
		Float32Array.from({ length: N }, (_, j) => {
			let sum = Number(B.data[j]);
			for (let i = 0; i < 5; i++)
				sum += Number(h.data[i]) * Number(W.data[i * N + j]);
			return sum * MEL_SCALE + MEL_MEAN;
		});
	const map = matching(
		cepstralStats([rows(1, -4, 1)], N),
		cepstralStats([rows(2, -3, 1.3)], N),
	);
	const one = folded(w, b, map);
	t.true(near(layer(one.w, one.b), mapped(layer(w, b), map), 1e-4));
});

test("a calibrated model speaks the clip with the clip's spread; its last layer comes whole", async (t) => {
	const c = {
		symbols: 4,
		...{ width: 16, heads: 2, trunkLayers: 1, contentLayers: 1, cond: 8 },
		...{ decoderWidth: 16, decoderLayers: 1, posteriorWidth: 8, expand: 1 },
	};
	const weights = teacherOutputs(c, 1, false).initializers;
	const random = seededRandom(9);
	const examples = Array.from({ length: 3 }, (_, i) => ({
		...{ id: `e${i}`, speaker: "target", split: "train" as const },
		phones: Int32Array.of(1, 2, 3, 1),
		durations: Int32Array.of(30, 40, 50, 20),
		...{ frames: 140, wave: new Int16Array(0) },
		mel: Float32Array.from({ length: 140 * AUDIO.nMels }, () => -6 + random()),
	}));
	const voice = { examples, speaker: new Float32Array(192).fill(192 ** -0.5) };
	const name = "decoder.out.w";
	const pair = new Map([
		[loraKey(name, "A"), floats(new Float32Array(16), [1, 16])],
		[
			loraKey(name, "B"),
			floats(new Float32Array(AUDIO.nMels), [AUDIO.nMels, 1]),
		],
	]);
	const adapter = new Map(pair);
	await calibrate(c, weights, adapter, 2, voice, 1);
	t.deepEqual([...adapter.keys()], [savedKey(name), savedKey("decoder.out.b")]);
	// Rows that are known already are the pass that would make them.
	const spared = new Map(pair);
	const { hidden } = await solvedLast(c, weights, voice, 1);
	await calibrate(c, weights, spared, 2, voice, 1, hidden);
	for (const [key, { data }] of adapter)
		t.true(
			near(spared.get(key)?.data as Float32Array, data as Float32Array, 1e-3),
			key,
		);
	// Calibrating the calibrated finds nothing left to do.
	const again = new Map(pair);
	const first = mergeIntoWeights(weights, adapter, 2);
	await calibrate(c, first, again, 2, voice, 1);
	const clip = cepstralStats(
		examples.map((e) => e.mel),
		AUDIO.nMels,
	);
	t.true(clip.std.every((s) => s > 0));
	const [before, after] = [first, mergeIntoWeights(first, again, 2)].map(
		(m) => m.get("decoder.out.b")?.data as Float32Array,
	) as [Float32Array, Float32Array];
	const held = weights.get("decoder.out.b")?.data as Float32Array;
	const moved = (a: Float32Array, b: Float32Array) =>
		Math.hypot(...a.map((x, i) => x - (b[i] ?? 0)));
	t.true(moved(before, held) > 1);
	t.true(moved(after, before) < 0.5 * moved(before, held));
});
