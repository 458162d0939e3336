import { seededRandom } from "@wattvox/models";
import test from "ava";
import {
	closerByCosine,
	closerByMcd,
	cosineHalves,
	cosinePairs,
	cosineToTarget,
	mcdHalves,
} from "./identity.ts";
import type { Utterance } from "./utterance.ts";

const ORDER = 6;

/**
 * Sentences of a made-up voice: each text has its own track of frames, and the
 * voice adds its own offset to every frame and to every embedding.
 */
function voice(
	offset: number,
	opts: { texts?: number[]; jitter?: number; seed?: number } = {},
): Utterance[] {
	const noise = seededRandom(opts.seed ?? 9);
	return (opts.texts ?? [0, 1, 2, 3, 4, 5, 6, 7]).map((text) => {
		const words = seededRandom(100 + text);
		const frames = 40;
		const data = Float32Array.from(
			{ length: frames * ORDER },
			() => words() + offset + (opts.jitter ?? 0.02) * noise(),
		);
		const angle = offset + (opts.jitter ?? 0.02) * (noise() - 0.5);
		return {
			name: `${text}`,
			text: `text ${text}`,
			key: `text ${text}`,
			seconds: 1,
			cepstra: { frames, order: ORDER, data },
			hz: new Float32Array(0),
			embedding: Float32Array.of(Math.cos(angle), Math.sin(angle)),
		};
	});
}

const target = voice(0);
const rivals = [
	{ name: "near", clips: voice(0.6, { seed: 2 }) },
	{ name: "far", clips: voice(1.5, { seed: 3 }) },
];

test("a faithful voice is closer to its target, another's voice is not", (t) => {
	const good = voice(0.1, { seed: 4 });
	t.is(closerByCosine(good, target, rivals).value, 1);
	const byMcd = closerByMcd(good, target, rivals);
	t.is(byMcd.value, 1);
	t.true(byMcd.sameWords);
	const wrong = voice(0.55, { seed: 5 });
	const cosine = closerByCosine(wrong, target, rivals);
	t.is(cosine.value, 0);
	t.deepEqual(cosine.confusedWith, { near: 8 });
	t.deepEqual(closerByMcd(wrong, target, rivals).confusedWith, { near: 8 });
});

test("a rival known by its mean embedding alone counts", (t) => {
	const centre = Float32Array.of(Math.cos(0.6), Math.sin(0.6));
	const only = [{ name: "near", clips: [], centre }];
	t.is(closerByCosine(voice(0.1), target, only).value, 1);
	t.is(closerByCosine(voice(0.5), target, only).value, 0);
});

test("rivals with other words are compared by nearest frames", (t) => {
	const others = [
		{ name: "near", clips: voice(0.8, { texts: [20, 21, 22, 23] }) },
	];
	const good = closerByMcd(voice(0.1, { seed: 4 }), target, others);
	t.false(good.sameWords);
	t.is(good.value, 1);
	t.is(closerByMcd(voice(0.8, { seed: 4 }), target, others).value, 0);
});

test("cosine to the target leaves the same sentence out", (t) => {
	const clips = voice(0, { texts: [0, 1] });
	const [a, b] = clips as [Utterance, Utterance];
	const c = cosineToTarget([a], clips)[0] ?? Number.NaN;
	const [ea, eb] = [a.embedding, b.embedding] as [Float32Array, Float32Array];
	const dot = (ea[0] ?? 0) * (eb[0] ?? 0) + (ea[1] ?? 0) * (eb[1] ?? 0);
	t.true(Math.abs(c - dot) < 1e-6);
	t.true(Number.isNaN(cosineToTarget([a], [a])[0]));
});

test("another take of the voice is about as near as its own halves, a shifted one farther", (t) => {
	const take = { jitter: 0.5 };
	const own = voice(0, { ...take, seed: 20 });
	const again = voice(0, { ...take, seed: 21 });
	const shifted = voice(0.7, { ...take, seed: 21 });
	for (const distance of [cosinePairs, cosineHalves, mcdHalves]) {
		const same = distance(again, own);
		const other = distance(shifted, own);
		t.true(same.ratio < 2.5, `${distance.name} ${same.ratio}`);
		t.true(other.ratio > same.ratio, `${distance.name} ${other.ratio}`);
		t.is(other.own, same.own);
		t.is(other.ratio, other.synth / other.own);
	}
	t.true(cosineHalves(shifted, own).ratio > cosinePairs(shifted, own).ratio);
});

test("recordings against themselves: the ratio is 1", (t) => {
	const own = voice(0, { jitter: 0.5 });
	for (const distance of [cosinePairs, cosineHalves, mcdHalves])
		t.true(Math.abs(distance(own, own).ratio - 1) < 1e-9);
});
