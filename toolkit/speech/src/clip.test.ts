import test from "ava";
import fc from "fast-check";
import { checkClip, clippedShare, describeClip } from "./clip.ts";

const RATE = 16000;

/** Something with syllables and pauses: a buzz of 120 Hz, on for 0.3 s and off for 0.2 s. */
function chatter(seconds: number, amplitude: number): Float32Array {
	return Float32Array.from({ length: Math.round(RATE * seconds) }, (_, i) => {
		const t = i / RATE;
		let v = 0;
		for (let h = 1; h <= 8; h++)
			v += Math.sin(2 * Math.PI * 120 * h * t + h) / h;
		return t % 0.5 < 0.3 ? (amplitude * v) / 2 : 0;
	});
}

test("a good recording passes and is described", (t) => {
	const report = checkClip(chatter(25, 0.3), RATE);
	t.is(report.seconds, 25);
	t.is(report.clipped, 0);
	t.true(report.lufs > -30 && report.lufs < -10);
	t.true(report.speech > 10 && report.speech <= 25);
});

test("too short, too long", (t) => {
	t.throws(() => checkClip(chatter(5, 0.3), RATE), {
		code: "E_CLIP_SHORT",
		message: /5\.0 s/,
	});
	t.throws(() => checkClip(new Float32Array(RATE * 601), RATE), {
		code: "E_CLIP_LONG",
	});
	t.notThrows(() => checkClip(chatter(20, 0.3), RATE));
});

test("silent, or all but", (t) => {
	t.throws(() => checkClip(new Float32Array(RATE * 30), RATE), {
		code: "E_CLIP_SILENT",
	});
	const hiss = Float32Array.from(
		{ length: RATE * 30 },
		(_, i) => 6e-4 * Math.sin(i * i),
	);
	t.throws(() => checkClip(hiss, RATE), {
		code: "E_CLIP_SILENT",
		message: /LUFS/,
	});
});

test("clipped at full scale, at one side, and clipped before it was turned down", (t) => {
	const loud = chatter(25, 2);
	const clip = (v: number, low: number, high: number) =>
		Math.max(low, Math.min(high, v));
	for (const x of [
		loud.map((v) => clip(v, -1, 32767 / 32768)),
		loud.map((v) => clip(v, -9, 0.4)),
		loud.map((v) => 0.3 * clip(v, -1, 1)),
	])
		t.throws(() => checkClip(x, RATE), {
			code: "E_CLIP_CLIPPED",
			message: /%/,
		});
});

test("loud but whole is not clipped", (t) => {
	const x = chatter(25, 0.5);
	const top = x.reduce((a, v) => Math.max(a, Math.abs(v)), 0);
	t.is(
		describeClip(
			x.map((v) => (0.999 * v) / top),
			RATE,
		).clipped,
		0,
	);
});

test("the clipped share does not depend on gain", (t) => {
	const x = chatter(2, 2).map((v) => Math.max(-0.8, Math.min(0.8, v)));
	const share = clippedShare(x);
	t.true(share > 0.01);
	fc.assert(
		fc.property(fc.double({ min: 0.01, max: 1, noNaN: true }), (g) => {
			t.true(Math.abs(clippedShare(x.map((v) => v * g)) - share) < 1e-3);
		}),
	);
	t.is(clippedShare(new Float32Array(0)), 0);
});
