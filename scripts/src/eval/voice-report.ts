import type { Estimate } from "@wattvox/cloud-trainer";
import { estimate, type Goal } from "./goals.ts";
import type { Measures } from "./measure.ts";
import { textTable } from "./text-table.ts";

/** What is known of one voice's recordings and of its synthesis. */
export interface VoiceResult {
	voice: string;
	sentences: number;
	/** Of recording. */
	seconds: number;
	/** Of the recordings. */
	wer?: Estimate;
	/** Of the recordings, Hz. */
	pitch: number;
	measures?: Measures;
	teacher?: Measures;
	alone?: Measures;
	goals: Goal[];
}

/** The tables of `bench voice`, for people. */
export function voiceReport(results: readonly VoiceResult[]): string {
	const head = [
		"voice",
		"sentences",
		"seconds",
		"pitch Hz",
		"WER recordings",
		"WER synthesis",
		"ratio",
		"MCD dB",
		"cosine",
	];
	const rows = results.flatMap((r) => [
		recordingRow(r),
		...(["alone", "teacher"] as const).flatMap((what) => {
			const m = r[what];
			return m ? [synthRow(`  ${what}`, m)] : [];
		}),
	]);
	const verdicts = results
		.filter((r) => r.goals.length > 0)
		.map((r) => `\n${r.voice}\n${goalTable(r.goals)}`);
	return `${textTable([head, ...rows])}${verdicts.join("")}`;
}

function recordingRow(r: VoiceResult): string[] {
	const m = r.measures;
	return [
		r.voice,
		`${r.sentences}`,
		r.seconds.toFixed(0),
		`${r.pitch.toFixed(0)}${m ? ` / ${m.pitch.synth.toFixed(0)}` : ""}`,
		r.wer ? estimate(r.wer) : "-",
		...synthCells(m),
	];
}

function synthRow(name: string, m: Measures): string[] {
	return [
		name,
		`${m.sentences}`,
		m.seconds.synth.toFixed(0),
		m.pitch.synth.toFixed(0),
		"",
		...synthCells(m),
	];
}

function synthCells(m: Measures | undefined): string[] {
	return [
		m?.wer ? estimate(m.wer.synth) : "-",
		m?.wer ? estimate(m.wer.ratio, 2) : "-",
		m ? estimate(m.mcd, 2) : "-",
		m?.cosine ? estimate(m.cosine.synth) : "-",
	];
}

/** A verdict per goal: yes, NO, or ? where it was not measured. */
export function goalTable(goals: readonly Goal[]): string {
	return textTable([
		["goal", "measured", "met"],
		...goals.map((g) => [
			g.goal,
			g.measured,
			g.met === undefined ? "?" : g.met ? "yes" : "NO",
		]),
	]);
}
