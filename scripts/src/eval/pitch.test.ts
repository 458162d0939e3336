import test from "ava";
import { voicedPitch, voicePitch } from "./pitch.ts";
import type { Utterance } from "./utterance.ts";

const RATE = 16000;

const utterance = (...hz: number[]): Utterance => ({
	name: "",
	text: "",
	key: "",
	seconds: 0,
	cepstra: { frames: 0, order: 1, data: new Float32Array(0) },
	hz: Float32Array.from(hz),
});

test("only voiced frames have a pitch", (t) => {
	const half = Float32Array.from({ length: RATE }, (_, i) =>
		i < RATE / 2 ? 0 : 0.3 * Math.sin((2 * Math.PI * 150 * i) / RATE),
	);
	const pitch = voicedPitch(half, RATE);
	t.true(pitch.length > 40 && pitch.length < 60, `${pitch.length} frames`);
	for (const hz of pitch) t.true(Math.abs(hz / 150 - 1) < 0.05, `${hz}`);
	t.is(voicedPitch(new Float32Array(8000), RATE).length, 0);
});

test("a voice's pitch is the geometric mean over the voiced frames of its clips", (t) => {
	const m = voicePitch([
		utterance(100, 0, 100),
		utterance(0),
		utterance(144, 144),
	]);
	t.true(Math.abs(m - 120) < 1e-3, `${m}`);
	t.true(Number.isNaN(voicePitch([utterance(), utterance(0)])));
});
