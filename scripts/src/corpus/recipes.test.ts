import test from "ava";
import { type Recipe, recipes } from "./recipes.ts";
import { moves } from "./speak.ts";

const all = recipes(6, 1);
const pseudo = all.filter((r) => r.timbre);

function correlation(a: number[], b: number[]): number {
	const mean = (x: number[]) => x.reduce((n, v) => n + v, 0) / x.length;
	const [ma, mb] = [mean(a), mean(b)];
	const sum = (f: (i: number) => number) => a.reduce((n, _, i) => n + f(i), 0);
	const d = (x: number[], m: number, i: number) => (x[i] ?? 0) - m;
	return (
		sum((i) => d(a, ma, i) * d(b, mb, i)) /
		Math.sqrt(sum((i) => d(a, ma, i) ** 2) * sum((i) => d(b, mb, i) ** 2))
	);
}

test("there are over 200 speakers, 24 of them held out, names all different", (t) => {
	t.true(all.length >= 200);
	t.is(all.filter((r) => r.split === "heldout-speaker").length, 24);
	t.is(new Set(all.map((r) => r.id)).size, all.length);
	for (const r of all) t.regex(r.id, /^[A-Za-z0-9_-]{1,64}$/);
});

test("pitch, formants, rate and timbre do not follow one another", (t) => {
	const axes: Record<string, (r: Recipe) => number> = {
		pitch: (r) => Math.log(r.pitch),
		formant: (r) => r.formant,
		rate: (r) => r.rate,
		bass: (r) => r.timbre?.bass ?? 0,
		treble: (r) => r.timbre?.treble ?? 0,
		bell: (r) => r.timbre?.bell.gain ?? 0,
	};
	for (const voice of ["slt", "awb", "rms", "kal16"]) {
		const own = pseudo.filter((r) => r.source === `flite:${voice}`);
		for (const [one, f] of Object.entries(axes)) {
			for (const [two, g] of Object.entries(axes)) {
				if (one >= two) continue;
				const r = correlation(own.map(f), own.map(g));
				t.true(Math.abs(r) < 0.45, `${voice}: ${one} and ${two}: ${r}`);
			}
		}
	}
	for (const [one, f] of Object.entries(axes)) {
		for (const [two, g] of Object.entries(axes)) {
			if (one >= two) continue;
			const r = correlation(pseudo.map(f), pseudo.map(g));
			t.true(Math.abs(r) < 0.2, `all: ${one} and ${two}: ${r}`);
		}
	}
});

test("ranges are those of people, and they are filled", (t) => {
	for (const r of pseudo) {
		t.true(r.pitch >= 75 && r.pitch <= 300, `${r.id} ${r.pitch}`);
		t.true(r.formant >= 0.82 && r.formant <= 1.22, r.id);
		t.true(r.rate >= 0.8 && r.rate <= 1.3, r.id);
	}
	const slt = pseudo.filter((r) => r.source === "flite:slt");
	t.true(Math.min(...slt.map((r) => r.pitch)) < 115);
	t.true(Math.max(...slt.map((r) => r.pitch)) > 265);
	t.true(Math.min(...slt.map((r) => r.formant)) < 0.86);
	t.true(Math.max(...slt.map((r) => r.formant)) > 1.15);
});

test("the moves reach the recipe: pitch, formants and rate", (t) => {
	for (const r of pseudo) {
		const { speed, warp, sourcePitch, stretch } = moves(r);
		const own = r.pitch / r.f0Factor;
		const near = (a: number, b: number) => Math.abs(a / b - 1) < 0.01;
		t.true(near((sourcePitch ?? own) * speed, r.pitch), r.id);
		t.true(near(speed * warp, r.formant), r.id);
		t.true(near(speed / stretch, r.rate), r.id);
	}
});

test("hours scale the utterances, not the speakers; the seed changes the draw", (t) => {
	const less = recipes(1, 1);
	t.is(less.length, all.length);
	t.true((less[0]?.utterances ?? 0) < (all[0]?.utterances ?? 0) / 4);
	t.notDeepEqual(recipes(6, 2), all);
	t.deepEqual(recipes(6, 1), all);
});
