import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import type { TeacherSettings } from "./shapes.ts";
import { soundOf } from "./sound.ts";
import { TeacherError } from "./teacher-error.ts";

/** Folder of a run in which a teacher's sentences are kept, and what was asked of it. */
export const TEACHER_DIR = "teacher";
const SETTINGS = "teacher.json";

/** What a teacher may be asked for; whichever is reached first. */
export interface TeacherBudget {
	/** Sentences spoken; undefined: all. */
	sentences?: number;
	/** Minutes of speech. */
	minutes: number;
}

/** One sentence as the teacher speaks it. */
export interface SpokenByTeacher {
	text: string;
	/** The wav as the server gave it. */
	bytes: Uint8Array;
	seconds: number;
}

/** A sentence that is not learned from, and why. */
export interface Discarded {
	text: string;
	/** One of a few words, to be counted. */
	reason: string;
	/** Its particulars. */
	detail: string;
}

/** What a run's speech was asked for: another list or another budget makes another run. */
export interface AskedFor {
	/** Digest of the list of sentences. */
	texts: string;
	/** The budget; null: no limit. */
	sentences: number | null;
	minutes: number;
}

/** A list and a budget as a run keeps them. */
export const askedFor = (
	sentences: readonly string[],
	budget: TeacherBudget,
): AskedFor => ({
	texts: createHash("sha256").update(sentences.join("\n")).digest("hex"),
	sentences: budget.sentences ?? null,
	minutes: budget.minutes,
});

/** What came of asking. */
export interface Collected {
	asked: AskedFor;
	spoken: SpokenByTeacher[];
	discarded: Discarded[];
	/** Sentences that lay there already. */
	kept: number;
	/** What ended it. */
	ended: "texts" | "sentences" | "minutes";
}

export interface CollectOptions {
	/** The run's folder. */
	dir: string;
	settings: TeacherSettings;
	sentences: readonly string[];
	budget: TeacherBudget;
	/** Speaks one sentence; see `TeacherClient.say`. */
	say: (text: string, signal?: AbortSignal) => Promise<Uint8Array>;
	/** Why a sentence need not be asked for; undefined: it can be learned from. */
	refuse?: (text: string) => string | undefined;
	signal?: AbortSignal;
	onSentence?: (done: { sentences: number; seconds: number }) => void;
}

/** So many sentences in a row that fail are no accident of theirs. */
const ROW = 3;

/**
 * Has a teacher speak a list of sentences, one file each in the run's folder.
 *
 * INVARIANTS: a file in the folder is a whole answer that holds sound (it is flushed aside, then
 * renamed), and its name is the sentence's digest, so that another call goes on where this one ended
 * and nothing is asked for twice. All files are of one teacher: its settings are written first.
 * @throws TeacherError when no other sentence can fare better, or three in a row failed; WattvoxError
 * E_USAGE when the folder is of another teacher, E_OUTPUT, E_DISK_FULL; the signal's reason
 */
export async function collect(o: CollectOptions): Promise<Collected> {
	const dir = join(o.dir, TEACHER_DIR);
	await claim(dir, o.settings);
	const out: Collected = {
		asked: askedFor(o.sentences, o.budget),
		spoken: [],
		discarded: [],
		kept: 0,
		ended: "texts",
	};
	let seconds = 0;
	let row = 0;
	for (const text of o.sentences) {
		o.signal?.throwIfAborted();
		if (out.spoken.length >= (o.budget.sentences ?? Number.POSITIVE_INFINITY)) {
			out.ended = "sentences";
			break;
		}
		if (seconds >= 60 * o.budget.minutes) {
			out.ended = "minutes";
			break;
		}
		const unfit = o.refuse?.(text);
		if (unfit !== undefined) {
			out.discarded.push({ text, reason: "not pronounceable", detail: unfit });
			continue;
		}
		const path = join(dir, fileOf(text));
		let bytes: Uint8Array | undefined = await readFile(path).catch(
			() => undefined,
		);
		if (bytes) out.kept++;
		else
			try {
				bytes = await o.say(text, o.signal);
				await writeAtomic(path, bytes);
			} catch (thrown) {
				if (!(thrown instanceof TeacherError) || thrown.hopeless) throw thrown;
				if (++row >= ROW)
					throw new TeacherError(
						thrown.why,
						`${ROW} sentences in a row failed, the last because ${thrown.message}`,
						{ cause: thrown },
					);
				out.discarded.push({
					text,
					reason:
						thrown.why === "refused" ? "refused by the teacher" : "no sound",
					detail: thrown.message,
				});
				continue;
			}
		row = 0;
		const { samples, sampleRate } = soundOf(bytes);
		const long = samples.length / sampleRate;
		seconds += long;
		out.spoken.push({ text, bytes, seconds: long });
		o.onSentence?.({ sentences: out.spoken.length, seconds });
	}
	return out;
}

/** The file of a sentence. */
const fileOf = (text: string): string =>
	`${createHash("sha256").update(text).digest("hex").slice(0, 24)}.wav`;

/** Writes a folder's settings, or checks that they are these. The list of sentences may grow. */
async function claim(dir: string, settings: TeacherSettings): Promise<void> {
	const path = join(dir, SETTINGS);
	const json = `${JSON.stringify(settings, null, "\t")}\n`;
	const there = await readFile(path, "utf8").catch(() => undefined);
	if (there === undefined) await writeAtomic(path, json);
	else if (there !== json)
		throw new WattvoxError(
			"E_USAGE",
			`${dir} holds the speech of a teacher that was asked otherwise: give another --out`,
		);
}
