import { readdirSync, readFileSync } from "node:fs";
import { dictionary } from "cmu-pronouncing-dictionary";
import { choose } from "./choose.ts";
import { random, shuffle } from "./random.ts";
import {
	type Sentence,
	shingles,
	unique,
	wordnetSentences,
} from "./sentences.ts";
import { template } from "./templates.ts";

/** Sentences kept out of every training corpus, in the order in which the tests take them. */
export const HELDOUT = 400;
const TEMPLATE_SHARE = 0.12;
const DATA = new URL("../../data/", import.meta.url);

export interface Texts {
	/** For training, in an order that mixes every kind. */
	train: Sentence[];
	/** Never in training, nor sharing a run of four words with it. */
	heldout: Sentence[];
}

/** Sentences of the committed evaluation lists (`scripts/data/*.txt`): never trained on either. */
export function reserved(): string[] {
	return readdirSync(DATA)
		.filter((name) => name.endsWith(".txt"))
		.flatMap((name) => readFileSync(new URL(name, DATA), "utf8").split("\n"))
		.filter((line) => line.trim() !== "");
}

/**
 * Chooses the corpus's text. The held-out sentences depend on WordNet alone, never on the seed,
 * so that no corpus of any seed can have heard them.
 * @param count sentences for training
 */
export function texts(count: number, seed: number): Texts {
	const pool = wordnetSentences(dictionary);
	const heldout: Sentence[] = [];
	const rest: Sentence[] = [];
	for (const s of pool) {
		const words = s.text.split(" ").length;
		const fits = words >= 6 && words <= 14;
		(fits && heldout.length < HELDOUT ? heldout : rest).push(s);
	}
	const taboo = new Set(
		[...heldout.map((s) => s.text), ...reserved()].flatMap((t) => shingles(t)),
	);
	const free = (s: Sentence) => !shingles(s.text).some((run) => taboo.has(run));
	const next = random(seed);
	const templates = Math.round(count * TEMPLATE_SHARE);
	let made: Sentence[] = [];
	for (let tries = 0; made.length < templates && tries < 50; tries++) {
		for (let i = 0; i < templates; i++) {
			const s = template(dictionary, next);
			if (s && free(s)) made.push(s);
		}
		made = unique(made).slice(0, templates);
	}
	const natural = choose(rest.filter(free), count - made.length);
	return { train: shuffle([...natural, ...made], next), heldout };
}
