import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { speakerEer } from "@wattvox/cloud-trainer";
import {
	asWattvoxError,
	catchInterrupts,
	plainProgress,
	silentProgress,
	WattvoxError,
} from "@wattvox/core";
import { sampleClips, voiceFolders } from "../eval/clips.ts";
import { Ears } from "../eval/ears.ts";
import { estimate } from "../eval/goals.ts";
import { openEncoder } from "../eval/speaker-encoder.ts";
import { speakerSplit } from "../eval/speaker-split.ts";

const USAGE = `npm run bench -- speaker --corpus DIR --encoder FILE [options]

Equal error rate of a speaker encoder over all pairs of recordings, by cosine.
DIR holds one folder of wav files per speaker (also under wavs/).

  --encoder FILE   the base's speaker.onnx, or "spectrum": mean cepstra, a yardstick
  --split NAME     speakers of this split only, where DIR has a speakers.json
                   (default heldout-speaker; "all" for everyone)
  --limit N        recordings per speaker (default 20)
  --json           for programs
`;

/** `bench speaker`: does the encoder tell apart voices that it never heard? */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			corpus: { type: "string" },
			encoder: { type: "string" },
			split: { type: "string", default: "heldout-speaker" },
			limit: { type: "string", default: "20" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const limit = Number(o.limit);
	if (!o.corpus || !o.encoder || !Number.isSafeInteger(limit) || limit < 2)
		throw new WattvoxError("E_USAGE", USAGE);
	const interrupts = catchInterrupts();
	const encoder = await openEncoder(o.encoder);
	try {
		const ears = new Ears({
			encoder,
			words: false,
			jobs: 1,
			progress: o.json
				? silentProgress
				: plainProgress((line) => process.stderr.write(`${line}\n`)),
			signal: interrupts.signal,
		});
		const wanted = await wantedSpeakers(o.corpus, o.split);
		const embeddings: Float32Array[] = [];
		const labels: string[] = [];
		for (const { name, dir } of await voiceFolders(o.corpus)) {
			if (wanted && !wanted.has(name)) continue;
			const clips = await sampleClips(dir, limit);
			for (const u of await ears.voice(name, clips)) {
				if (!u.embedding) continue;
				embeddings.push(u.embedding);
				labels.push(name);
			}
		}
		const result = speakerEer(embeddings, labels);
		if (result.speakers < 2)
			throw new WattvoxError(
				"E_FILE_MISSING",
				`${o.corpus} holds ${result.speakers} speakers of split ${o.split}: two at least are needed`,
			);
		process.stdout.write(
			o.json
				? `${JSON.stringify(result, null, "\t")}\n`
				: `${result.speakers} speakers, ${embeddings.length} recordings, ${result.pairs} pairs\n` +
						`equal error rate ${estimate(result.interval)} at cosine ${result.threshold.toFixed(3)}\n`,
		);
	} finally {
		interrupts.stop();
		await encoder.dispose();
	}
}

/** Names in the split; undefined for all, also where the corpus names no splits. */
async function wantedSpeakers(
	corpus: string,
	split: string,
): Promise<Set<string> | undefined> {
	if (split === "all") return undefined;
	let text: string;
	try {
		text = await readFile(join(corpus, "speakers.json"), "utf8");
	} catch (thrown) {
		if (asWattvoxError(thrown).code === "E_FILE_MISSING") return undefined;
		throw thrown;
	}
	return speakerSplit(text, split);
}
