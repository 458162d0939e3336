import { fileURLToPath } from "node:url";
import { writeAtomic } from "@wattvox/core";
import {
	LETTER_TO_SOUND_FILE,
	LetterToSound,
	type LetterToSoundHeader,
} from "@wattvox/speech";
import { align } from "./align.ts";
import { cmudict } from "./cmudict.ts";
import { type NgramModel, trainNgram } from "./ngram.ts";

/**
 * Learns the letter-to-sound model from CMUdict: `node dist/lexicon/train-letter-to-sound.js`. A model that has not seen
 * one word in twenty is measured on those words first; then the one that is shipped learns from all.
 */
const ORDER = 8;
/** Keeps the file within 1.5 MB; keeping every n-gram would make it 5 MB and one word in a hundred better. */
const THRESHOLD = 1.25;
const STEP = 0.07;

type Entry = [word: string, phones: string[]];

/** Deterministic and unlike the alphabet, so neighbours such as "walk" and "walks" part by chance. */
function heldOut(word: string): boolean {
	let h = 2166136261;
	for (let i = 0; i < word.length; i++)
		h = Math.imul(h ^ word.charCodeAt(i), 16777619);
	return ((h ^ (h >>> 13)) >>> 0) % 20 === 0;
}

function train(words: readonly Entry[]): Uint8Array {
	const aligned = align(words);
	const ids = new Map<string, number>();
	for (const g of [...new Set(aligned.flat())].sort()) ids.set(g, ids.size + 2);
	const sequences = aligned.map((word) => [
		0,
		...word.map((g) => ids.get(g) as number),
		1,
	]);
	const model = trainNgram(sequences, ORDER, ids.size + 2, THRESHOLD);
	console.log(
		`${words.length} words, ${aligned.length} aligned, ${ids.size} graphones, n-grams ${model.levels.map((l) => l.p.length).join(" ")}`,
	);
	if (ids.size + 2 > 256)
		throw new Error(`${ids.size} graphones do not fit one byte`);
	return encode(model, [...ids.keys()]);
}

function encode(model: NgramModel, graphones: string[]): Uint8Array {
	const header: LetterToSoundHeader = {
		format: "wattvox-letter-to-sound-1",
		order: model.order,
		step: STEP,
		graphones,
		counts: model.levels.map((l) => l.p.length),
	};
	const quantise = (x: number) =>
		Math.max(0, Math.min(255, Math.round(-Math.log(x) / STEP)));
	const json = Buffer.from(JSON.stringify(header));
	const length = Buffer.alloc(4);
	length.writeUInt32LE(json.length);
	const parts: Uint8Array[] = [length, json];
	for (const [i, level] of model.levels.entries()) {
		parts.push(
			Uint8Array.from(level.symbol),
			Uint8Array.from(level.p, quantise),
		);
		if (i < model.levels.length - 1)
			parts.push(
				Uint8Array.from(level.backoff, quantise),
				Uint8Array.from(level.children),
			);
	}
	return Buffer.concat(parts);
}

/** Levenshtein distance between two phone strings. */
function distance(a: readonly string[], b: readonly string[]): number {
	let row = b.map((_, j) => j + 1);
	row.unshift(0);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++)
			next.push(
				Math.min(
					(row[j] as number) + 1,
					(next[j - 1] as number) + 1,
					(row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1),
				),
			);
		row = next;
	}
	return row[b.length] as number;
}

function measure(model: LetterToSound, words: readonly Entry[]): string {
	let right = 0;
	let errors = 0;
	let total = 0;
	const started = performance.now();
	for (const [word, phones] of words) {
		const d = distance(phones, model.phones(word));
		if (d === 0) right++;
		errors += d;
		total += phones.length;
	}
	const ms = (performance.now() - started) / words.length;
	const percent = (x: number) => `${(100 * x).toFixed(1)} %`;
	return `${words.length} words: ${percent(right / words.length)} right, phone error rate ${percent(errors / total)}, ${ms.toFixed(2)} ms a word`;
}

const words = cmudict().filter(([word]) => /^[a-z]+$/.test(word));
const seen = words.filter(([word]) => !heldOut(word));
const unseen = words.filter(([word]) => heldOut(word));
const trial = train(seen);
console.log(`held out: ${measure(new LetterToSound(trial), unseen)}`);
const bytes = train(words);
await writeAtomic(fileURLToPath(LETTER_TO_SOUND_FILE), bytes);
console.log(`${fileURLToPath(LETTER_TO_SOUND_FILE)}: ${bytes.length} bytes`);
