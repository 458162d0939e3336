import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { z } from "zod";

const utteranceSchema = z.object({
	id: z.string(),
	speaker: z.string(),
	source: z.string().default(""),
	text: z.string(),
	/** Path of the recording, relative to the corpus folder. */
	wav: z.string(),
	samples: z.number().int().positive(),
	/** [phone, end sample] in order. */
	phones: z.array(z.tuple([z.string(), z.number()])),
	split: z.enum(["train", "val", "heldout-speaker"]),
});

/** One recorded sentence with its phones and their end times. */
export type Utterance = z.infer<typeof utteranceSchema>;

/**
 * Reads a corpus folder's `utterances.jsonl`.
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT naming the line
 */
export async function readCorpus(dir: string): Promise<Utterance[]> {
	const path = join(dir, "utterances.jsonl");
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `no corpus at ${path}`, { cause });
	});
	const out: Utterance[] = [];
	text.split("\n").forEach((line, i) => {
		if (!line.trim()) return;
		try {
			out.push(utteranceSchema.parse(JSON.parse(line)));
		} catch (cause) {
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`${path}:${i + 1} is not an utterance`,
				{ cause },
			);
		}
	});
	if (out.length === 0)
		throw new WattvoxError("E_FILE_FORMAT", `${path} is empty`);
	return out;
}

/** Padding's symbol; always the first. */
export const PAD = "_";

/** The phones of flite's English voices: ARPAbet without stress. */
export const ENGLISH_PHONES: readonly string[] =
	"pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh".split(
		" ",
	);

/** The symbol list of a base: padding, then its phones. */
export const symbolsOf = (phones: readonly string[]): string[] => [
	PAD,
	...phones,
];

/**
 * End samples as frame counts per phone, each at least one frame, adding up to `frames`.
 * @throws WattvoxError E_FILE_FORMAT when there are more phones than frames
 */
export function phoneFrames(
	ends: readonly number[],
	hop: number,
	frames: number,
): Int32Array {
	const n = ends.length;
	if (n > frames)
		throw new WattvoxError("E_FILE_FORMAT", `${n} phones in ${frames} frames`);
	const out = new Int32Array(n);
	let last = 0;
	for (let i = 0; i < n; i++) {
		const want = i === n - 1 ? frames : Math.round((ends[i] ?? 0) / hop);
		// Leave at least one frame for this phone and for each one after it.
		const end = Math.min(Math.max(want, last + 1), frames - (n - 1 - i));
		out[i] = end - last;
		last = end;
	}
	return out;
}
