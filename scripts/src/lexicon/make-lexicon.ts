import { fileURLToPath } from "node:url";
import { writeAtomic } from "@wattvox/core";
import { LEXICON_FILE } from "@wattvox/speech";
import { cmudict } from "./cmudict.ts";

/** Writes the lexicon of @wattvox/speech from CMUdict: `node dist/lexicon/make-lexicon.js`. */
const words = cmudict();
await writeAtomic(
	fileURLToPath(LEXICON_FILE),
	Buffer.from(
		words.map(([word, phones]) => `${word} ${phones.join(" ")}\n`).join(""),
		"latin1",
	),
);
console.log(`${words.length} words in ${fileURLToPath(LEXICON_FILE)}`);
