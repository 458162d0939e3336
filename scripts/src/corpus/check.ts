import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { dft, hann, readWav } from "@wattvox/speech";
import { voicedPitch } from "../eval/pitch.ts";
import type { Utterance } from "./generate.ts";
import { hash } from "./random.ts";
import type { Recipe } from "./recipes.ts";

/** Figures of one source's utterances. */
export interface SourceCheck {
	source: string;
	speakers: number;
	checked: number;
	/** Median of measured over wanted pitch. */
	pitch: number;
	/** Speakers whose median pitch is more than 10 % off. */
	pitchOff: number;
	/** Median level in dB of full scale. */
	pauseDb: number;
	speechDb: number;
	/** Where the spectrum changes most, in ms after the labelled boundary, on average. */
	boundaryMs: number;
	/** Mean spectral change at that place over the least within 60 ms. */
	contrast: number;
}

const SIZE = 256;
const HOP = 64;
const SPAN = 15;

/** Mean absolute change of the log spectrum across +-2 hops, one value a hop. */
function flux(samples: Float32Array): Float32Array {
	const plan = dft(SIZE);
	const window = hann(SIZE);
	const data = new Float64Array(2 * SIZE);
	const half = SIZE / 2 + 1;
	const count = Math.max(0, Math.floor((samples.length - SIZE) / HOP) + 1);
	const logs: Float32Array[] = [];
	for (let f = 0; f < count; f++) {
		for (let i = 0; i < SIZE; i++) {
			data[2 * i] = (samples[f * HOP + i] ?? 0) * (window[i] ?? 0);
			data[2 * i + 1] = 0;
		}
		plan.forward(data);
		logs.push(
			Float32Array.from({ length: half }, (_, k) =>
				Math.log(Math.hypot(data[2 * k] ?? 0, data[2 * k + 1] ?? 0) + 1e-3),
			),
		);
	}
	return Float32Array.from(logs, (_, f) => {
		const a = logs[f - 2];
		const b = logs[f + 2];
		if (!a || !b) return 0;
		return a.reduce((n, v, k) => n + Math.abs(v - (b[k] ?? 0)), 0) / half;
	});
}

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** Finds, for every source, whether pitch, pauses and phone boundaries are where they should be. */
export async function check(
	dir: string,
	perSpeaker = 3,
): Promise<SourceCheck[]> {
	const recipes = JSON.parse(
		await readFile(join(dir, "speakers.json"), "utf8"),
	) as Recipe[];
	const lines = await readFile(join(dir, "utterances.jsonl"), "utf8");
	const of = new Map<string, Utterance[]>();
	for (const line of lines.trim().split("\n")) {
		const u = JSON.parse(line) as Utterance;
		const own = of.get(u.speaker);
		if (own) own.push(u);
		else of.set(u.speaker, [u]);
	}
	const found = new Map<string, Tally>();
	for (const recipe of recipes) {
		const source = `${recipe.source.split("+")[0]}${recipe.timbre ? " varied" : ""}`;
		const tally = found.get(source) ?? new Tally();
		found.set(source, tally);
		const some = [...(of.get(recipe.id) ?? [])]
			.sort((a, b) => hash(a.id) - hash(b.id))
			.slice(0, perSpeaker);
		const pitches: number[] = [];
		for (const u of some) {
			const { samples, sampleRate } = readWav(await readFile(join(dir, u.wav)));
			for (const hz of voicedPitch(samples, sampleRate)) pitches.push(hz);
			tally.add(samples, u);
		}
		tally.pitches.push(median(pitches) / recipe.pitch);
	}
	return [...found].map(([source, tally]) => tally.result(source));
}

class Tally {
	readonly pitches: number[] = [];
	private readonly pause: number[] = [];
	private readonly speech: number[] = [];
	private readonly change = new Float64Array(2 * SPAN + 1);
	private checked = 0;

	add(samples: Float32Array, u: Utterance): void {
		this.checked++;
		const change = flux(samples);
		let from = 0;
		for (const [phone, end] of u.phones) {
			// 10 ms at each side belong to neither phone.
			const part = samples.subarray(
				from + 160,
				Math.max(from + 160, end - 160),
			);
			if (part.length > 50) {
				const power = part.reduce((n, s) => n + s * s, 0) / part.length;
				const db = 10 * Math.log10(power + 1e-12);
				(phone === "pau" ? this.pause : this.speech).push(db);
			}
			from = end;
			const centre = Math.round((end - SIZE / 2) / HOP);
			if (centre < SPAN || centre + SPAN >= change.length) continue;
			for (let i = -SPAN; i <= SPAN; i++) {
				this.change[i + SPAN] =
					(this.change[i + SPAN] ?? 0) + (change[centre + i] ?? 0);
			}
		}
	}

	result(source: string): SourceCheck {
		const top = Math.max(...this.change);
		return {
			source,
			speakers: this.pitches.length,
			checked: this.checked,
			pitch: median(this.pitches),
			pitchOff: this.pitches.filter((p) => !(Math.abs(p - 1) <= 0.1)).length,
			pauseDb: median(this.pause),
			speechDb: median(this.speech),
			boundaryMs: (this.change.indexOf(top) - SPAN) * (HOP / 16),
			contrast: top / Math.min(...this.change),
		};
	}
}

/** The figures as lines for a terminal. */
export function checkTable(rows: readonly SourceCheck[]): string {
	const cells = rows.map((r) => [
		r.source,
		`${r.speakers}`,
		r.pitch.toFixed(3),
		`${r.pitchOff}`,
		r.pauseDb.toFixed(0),
		r.speechDb.toFixed(0),
		`${r.boundaryMs >= 0 ? "+" : ""}${r.boundaryMs}`,
		r.contrast.toFixed(2),
	]);
	const head =
		"source,speakers,pitch ratio,off > 10 %,pause dB,speech dB,boundary ms,contrast";
	const all = [head.split(","), ...cells];
	const widths = (all[0] ?? []).map((_, c) =>
		Math.max(...all.map((row) => (row[c] ?? "").length)),
	);
	return all
		.map((row) =>
			row
				.map((cell, c) =>
					c === 0 ? cell.padEnd(widths[c] ?? 0) : cell.padStart(widths[c] ?? 0),
				)
				.join("  "),
		)
		.join("\n");
}
