import { type Estimate, meanEstimate } from "@wattvox/cloud-trainer";
import type { SelfRatio } from "./identity.ts";
import type { Measures } from "./measure.ts";

/** One line of the verdict. `met` is undefined where the figure could not be measured. */
export interface Goal {
	goal: string;
	measured: string;
	met: boolean | undefined;
}

const NOT_MEASURED = "not measured";

/** "0.123 (0.100 to 0.150)": value and 95 % interval. */
export function estimate(e: Estimate, digits = 3): string {
	return `${e.value.toFixed(digits)} (${e.low.toFixed(digits)} to ${e.high.toFixed(digits)})`;
}

/** A goal that holds when `value` is known and passes. */
function line(
	goal: string,
	value: number | undefined,
	measured: string,
	pass: (x: number) => boolean,
): Goal {
	return value === undefined || Number.isNaN(value)
		? { goal, measured: NOT_MEASURED, met: undefined }
		: { goal, measured, met: pass(value) };
}

/** Words of a voice of the base itself: at most 1.15 times its recordings' errors. */
export function baseGoals(m: Measures): Goal[] {
	return [
		line(
			"word error rate <= 1.15 x the recordings'",
			m.wer && m.wer.synth.value - 1.15 * m.wer.recording.value,
			m.wer
				? `${m.wer.synth.value.toFixed(3)} against ${m.wer.recording.value.toFixed(3)}: ratio ${estimate(m.wer.ratio, 2)}`
				: "",
			(excess) => excess <= 1e-9,
		),
	];
}

/** Words and identity of a voice tuned on a minute of recording. */
export function tunedGoals(m: Measures, alone?: Measures): Goal[] {
	return [
		line(
			"word error rate <= 1.2 x the recordings' + .05",
			m.wer && m.wer.synth.value - 1.2 * m.wer.recording.value - 0.05,
			m.wer
				? `${m.wer.synth.value.toFixed(3)} against ${m.wer.recording.value.toFixed(3)} (limit ${(1.2 * m.wer.recording.value + 0.05).toFixed(3)})`
				: "",
			(excess) => excess <= 1e-9,
		),
		...(m.closer.length > 0
			? []
			: [share("no base voices given", 0, undefined)]),
		...m.closer.flatMap((c) => [
			share(`${c.name}, speaker cosine`, c.rivals, c.cosine),
			...(c.mcd
				? [
						share(
							`${c.name}, mel-cepstral, ${c.mcd.sameWords ? "same words" : "nearest frames"}`,
							c.rivals,
							c.mcd,
						),
					]
				: []),
		]),
		selfRatio("speaker cosine, sentence by sentence", m.cosinePairs),
		selfRatio("speaker cosine, half averages", m.cosineHalves),
		selfRatio("mel-cepstral, halves by nearest frames", m.mcdHalves),
		...(alone ? betterThanAlone(m, alone) : []),
		line(
			"mean pitch within 10 %",
			m.pitch.ratio,
			`${m.pitch.synth.toFixed(1)} Hz against ${m.pitch.recording.toFixed(1)} Hz (${m.pitch.ratio.toFixed(3)})`,
			(r) => Math.abs(r - 1) <= 0.1,
		),
	];
}

function share(
	by: string,
	rivals: number,
	s: (Estimate & { confusedWith: Record<string, number> }) | undefined,
): Goal {
	const worst = Object.entries(s?.confusedWith ?? {})
		.sort((a, b) => b[1] - a[1])
		.slice(0, 3)
		.map(([name, n]) => `${name} x${n}`);
	return line(
		`closer to the target than to every base voice in >= 90 % of sentences (${by})`,
		s?.value,
		s
			? `${estimate(s, 2)} against ${rivals} voices${worst.length > 0 ? `; nearer to ${worst.join(", ")}` : ""}`
			: "",
		(x) => x >= 0.9,
	);
}

function selfRatio(by: string, r: SelfRatio | undefined): Goal {
	return line(
		`to held-out recordings <= 1.25 x the target's own halves (${by})`,
		r?.ratio,
		r
			? `${r.synth.toFixed(3)} against ${r.own.toFixed(3)}: ${r.ratio.toFixed(2)} x`
			: "",
		(x) => x <= 1.25,
	);
}

/** Paired by sentence: positive differences favour the tuned voice. */
function betterThanAlone(tuned: Measures, alone: Measures): Goal[] {
	const other = new Map(alone.perSentence.map((p) => [p.name, p]));
	const gain = (f: (p: Measures["perSentence"][number]) => number) =>
		meanEstimate(
			tuned.perSentence.flatMap((p) => {
				const q = other.get(p.name);
				return q ? [f(p) - f(q)] : [];
			}),
		);
	const cosine = gain((p) => p.cosine);
	const mcd = gain((p) => -p.mcd);
	return [
		line(
			"better than the speaker embedding alone (speaker cosine)",
			cosine.value,
			`${tuned.cosine?.synth.value.toFixed(3)} against ${alone.cosine?.synth.value.toFixed(3)}: gain ${estimate(cosine)}`,
			(x) => x > 0,
		),
		line(
			"better than the speaker embedding alone (mel-cepstral distance)",
			mcd.value,
			`${tuned.mcd.value.toFixed(2)} against ${alone.mcd.value.toFixed(2)} dB: gain ${estimate(mcd, 2)}`,
			(x) => x > 0,
		),
	];
}

/**
 * What a student keeps of its teacher, metric by metric: student / teacher where
 * high is good (words heard right, cosine, shares), teacher / student for
 * distances and the difference of pitch taken from 1.
 */
export function retentionGoals(teacher: Measures, student: Measures): Goal[] {
	const metric = (
		name: string,
		of: (m: Measures) => number | undefined,
		better: "high" | "low",
	): Goal => {
		const t = of(teacher) ?? Number.NaN;
		const s = of(student) ?? Number.NaN;
		const kept = better === "high" ? s / t : t / s;
		return line(
			`student keeps >= 90 % of the teacher: ${name}`,
			kept,
			`${s.toFixed(3)} against ${t.toFixed(3)}: ${(100 * kept).toFixed(0)} %`,
			(x) => x >= 0.9,
		);
	};
	return [
		metric("words heard right", (m) => m.wer && 1 - m.wer.synth.value, "high"),
		metric("cosine to the target", (m) => m.cosine?.synth.value, "high"),
		...teacher.closer.flatMap(({ name, mcd }) => {
			const of = (m: Measures) => m.closer.find((c) => c.name === name);
			const what = `sentences closer to the target than to ${name}`;
			return [
				metric(`${what}, cosine`, (m) => of(m)?.cosine?.value, "high"),
				...(mcd
					? [metric(`${what}, mel-cepstral`, (m) => of(m)?.mcd?.value, "high")]
					: []),
			];
		}),
		metric("cosine distance, pairs", (m) => m.cosinePairs?.synth, "low"),
		metric("mel-cepstral distance, dB", (m) => m.mcd.value, "low"),
		metric(
			"mel-cepstral distance of halves, dB",
			(m) => m.mcdHalves.synth,
			"low",
		),
		metric("pitch", (m) => 1 - Math.abs(1 - m.pitch.ratio), "high"),
	];
}
