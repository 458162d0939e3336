import { seededRandom } from "@wattvox/models";
import test from "ava";
import fc from "fast-check";
import { equalErrorRate, speakerEer } from "./eer.ts";

test("separable scores have no error, reversed ones err always", (t) => {
	t.is(equalErrorRate([0.9, 0.8], [0.1, 0.2, 0.3]).eer, 0);
	t.is(equalErrorRate([0.1, 0.2], [0.9, 0.8]).eer, 1);
	t.true(Number.isNaN(equalErrorRate([], [1]).eer));
});

test("scores that carry nothing err half the time", (t) => {
	t.is(equalErrorRate([1, 1, 1], [1, 1]).eer, 0.5);
	const r = seededRandom(3);
	const draw = () => Array.from({ length: 4000 }, r);
	t.true(Math.abs(equalErrorRate(draw(), draw()).eer - 0.5) < 0.03);
});

test("one of four swapped on each side is a quarter", (t) => {
	const { eer, threshold } = equalErrorRate(
		[0.9, 0.8, 0.7, 0.2],
		[0.6, 0.1, 0.15, 0.05],
	);
	t.is(eer, 0.25);
	t.true(threshold >= 0.2 && threshold <= 0.7);
});

test("EER is a rate, and survives any rising transform of the scores", (t) => {
	const list = fc.array(fc.integer({ min: -20, max: 20 }), {
		minLength: 1,
		maxLength: 30,
	});
	fc.assert(
		fc.property(list, list, (a, b) => {
			const { eer } = equalErrorRate(a, b);
			t.true(eer >= 0 && eer <= 1);
			const up = (x: number) => x ** 3 + x;
			t.is(equalErrorRate(a.map(up), b.map(up)).eer, eer);
		}),
	);
});

function voices(speakers: number, each: number, spread: number) {
	const r = seededRandom(5);
	const embeddings: Float32Array[] = [];
	const labels: string[] = [];
	for (let s = 0; s < speakers; s++) {
		const centre = Array.from({ length: 16 }, () => r() - 0.5);
		for (let u = 0; u < each; u++) {
			embeddings.push(
				Float32Array.from(centre, (c) => c + spread * (r() - 0.5)),
			);
			labels.push(`s${s}`);
		}
	}
	return { embeddings, labels };
}

test("speakers: tight clusters are told apart, noise is not", (t) => {
	const tight = voices(10, 5, 0.05);
	const a = speakerEer(tight.embeddings, tight.labels);
	t.is(a.eer, 0);
	t.is(a.speakers, 10);
	t.is(a.pairs, (50 * 49) / 2);
	const loose = voices(10, 5, 30);
	const b = speakerEer(loose.embeddings, loose.labels);
	t.true(b.eer > 0.3 && b.eer < 0.7, `${b.eer}`);
	t.true(b.interval.low <= b.eer && b.eer <= b.interval.high);
	t.true(b.interval.high > b.interval.low);
});

test("speakers: the point estimate equals that of the plain score lists", (t) => {
	const { embeddings, labels } = voices(6, 4, 1.2);
	const same: number[] = [];
	const other: number[] = [];
	embeddings.forEach((x, i) => {
		for (let j = 0; j < i; j++) {
			const y = embeddings[j] as Float32Array;
			let d = 0;
			for (let k = 0; k < x.length; k++) d += (x[k] ?? 0) * (y[k] ?? 0);
			const c = d / (Math.hypot(...x) * Math.hypot(...y));
			(labels[i] === labels[j] ? same : other).push(c);
		}
	});
	const e = speakerEer(embeddings, labels, { resamples: 0 });
	t.true(Math.abs(e.eer - equalErrorRate(same, other).eer) < 1e-9);
});
