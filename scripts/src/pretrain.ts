import { mkdir, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import {
	distilStudent,
	ENGLISH_PHONES,
	embedAll,
	loadFeatures,
	newBase,
	readBase,
	readCorpus,
	symbolsOf,
	trainAligner,
	trainSpeaker,
	trainTeacher,
	trainVocoder,
	writeBase,
} from "@wattvox/cloud-trainer";

const { values } = parseArgs({
	options: {
		corpus: { type: "string" },
		out: { type: "string" },
		work: { type: "string" },
		stage: { type: "string", default: "all" },
		steps: { type: "string" },
		threads: { type: "string", default: "1" },
		seed: { type: "string", default: "1" },
		name: { type: "string", default: "en" },
	},
});
const { corpus, out } = values;
if (!corpus || !out) throw new Error("--corpus and --out are needed");
const work = values.work ?? `${out}/work`;
await mkdir(work, { recursive: true });
const abort = new AbortController();
process.once("SIGINT", () => abort.abort());
process.once("SIGTERM", () => abort.abort());

const STEPS: Record<string, number> = { speaker: 1200, aligner: 1200, teacher: 5000, vocoder: 6000, student: 2500 };
const base = await readBase(out).catch(() => newBase(values.name, "en", symbolsOf(ENGLISH_PHONES)));
await writeBase(out, base);
const utterances = await readCorpus(corpus);
const { examples, left } = await loadFeatures(corpus, utterances, base.audio, base.symbols, (d, n) =>
	console.error(`features ${d}/${n}`),
);
console.error(`${examples.length} utterances, ${left} left out`);
const threads = Number(values.threads);
let last = Date.now();
const options = (stage: string) => ({
	work,
	threads,
	seed: Number(values.seed),
	steps: Number(values.steps ?? STEPS[stage]),
	signal: abort.signal,
	onStep: (name: string, r: { step: number; steps: number; milliseconds: number; values: Record<string, number> }) => {
		if (Date.now() - last < 20_000 && r.step !== r.steps && r.step > 3) return;
		last = Date.now();
		console.error(
			`${name} ${r.step}/${r.steps} ${Math.round(r.milliseconds)} ms ${Object.entries(r.values)
				.map(([k, v]) => `${k}=${v.toFixed(4)}`)
				.join(" ")}`,
		);
	},
});
const embeddings = async () => {
	console.error("embedding");
	return embedAll(out, base, examples, threads);
};
const stages: Record<string, () => Promise<void>> = {
	features: async () => undefined,
	speaker: () => trainSpeaker(out, base, examples, options("speaker")),
	aligner: () => trainAligner(out, base, examples, options("aligner")),
	vocoder: () => trainVocoder(out, base, examples, options("vocoder")),
	teacher: async () => trainTeacher(out, base, examples, await embeddings(), options("teacher")),
	student: async () => distilStudent(out, base, examples, await embeddings(), options("student")),
};
for (const stage of values.stage === "all" ? Object.keys(stages) : [values.stage]) {
	if (abort.signal.aborted) break;
	const began = Date.now();
	await stages[stage]?.();
	await writeFile(`${work}/${stage}.time.json`, JSON.stringify({ seconds: (Date.now() - began) / 1000 }));
}
