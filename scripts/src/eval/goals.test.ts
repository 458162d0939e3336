import test from "ava";
import { baseGoals, retentionGoals, tunedGoals } from "./goals.ts";
import type { Measures } from "./measure.ts";

const at = (value: number) => ({ value, low: value, high: value });

function measures(over: {
	wer?: number;
	cosine?: number;
	mcd?: number;
	share?: number;
	self?: number;
	pitch?: number;
}): Measures {
	const { wer = 0.3, cosine = 0.8, mcd = 4, share = 0.95 } = over;
	const self = { own: 1, synth: over.self ?? 1.1, ratio: over.self ?? 1.1 };
	const pitch = over.pitch ?? 1.05;
	return {
		sentences: 2,
		seconds: { recording: 6, synth: 6 },
		wer: { recording: at(0.25), synth: at(wer), ratio: at(wer / 0.25) },
		cosine: { recording: at(0.9), synth: at(cosine) },
		mcd: at(mcd),
		closer: [
			{
				name: "base",
				rivals: 3,
				cosine: { ...at(share), confusedWith: { slt: 1 } },
				mcd: { ...at(share), confusedWith: {}, sameWords: true },
			},
		],
		cosinePairs: self,
		cosineHalves: self,
		mcdHalves: self,
		pitch: { recording: 100, synth: 100 * pitch, ratio: pitch },
		perSentence: [
			{ name: "a", cosine, mcd },
			{ name: "b", cosine, mcd },
		],
	};
}

const met = (goals: { met: boolean | undefined }[]) => goals.map((g) => g.met);

test("a base voice is held to 1.15 times its recordings", (t) => {
	t.deepEqual(met(baseGoals(measures({ wer: 0.2875 }))), [true]);
	t.deepEqual(met(baseGoals(measures({ wer: 0.29 }))), [false]);
});

test("a good tuned voice meets all goals", (t) => {
	const goals = tunedGoals(measures({}), measures({ cosine: 0.5, mcd: 7 }));
	t.is(goals.length, 9);
	t.true(goals.every((g) => g.met === true));
});

test("each goal can be missed alone", (t) => {
	const alone = measures({ cosine: 0.5, mcd: 7 });
	const missed = (over: Parameters<typeof measures>[0], other = alone) =>
		tunedGoals(measures(over), other)
			.filter((g) => g.met === false)
			.map((g) => g.goal.slice(0, 18));
	t.deepEqual(missed({ wer: 0.36 }), ["word error rate <="]);
	t.is(missed({ share: 0.85 }).length, 2);
	t.is(missed({ self: 1.3 }).length, 3);
	t.deepEqual(missed({ pitch: 0.89 }), ["mean pitch within "]);
	t.is(missed({}, measures({ cosine: 0.85, mcd: 3 })).length, 2);
});

test("what was not measured is neither met nor missed", (t) => {
	const { wer: _, cosinePairs: __, ...rest } = measures({});
	const goals = tunedGoals({ ...rest, closer: [] });
	const unknown = goals.filter((g) => g.met === undefined);
	t.is(unknown.length, 3);
	t.true(unknown.every((g) => g.measured === "not measured"));
});

test("a student is held to 90 % of its teacher on each metric separately", (t) => {
	const teacher = measures({ wer: 0.2 });
	t.true(retentionGoals(teacher, teacher).every((g) => g.met));
	const lost = (over: Parameters<typeof measures>[0]) =>
		retentionGoals(teacher, measures({ wer: 0.2, ...over }))
			.filter((g) => !g.met)
			.map((g) => g.goal.split(": ")[1]);
	t.deepEqual(lost({ wer: 0.29 }), ["words heard right"]);
	t.deepEqual(lost({ cosine: 0.7 }), ["cosine to the target"]);
	t.deepEqual(lost({ mcd: 4.5 }), ["mel-cepstral distance, dB"]);
	t.is(lost({ share: 0.8 }).length, 2);
});
