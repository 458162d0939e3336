import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { NO_CONSENT } from "@wattvox/bundle";
import { checkId, WattvoxError, writeAtomic } from "@wattvox/core";
import { writeWav } from "@wattvox/speech";
import { type Base, readBase } from "../pretrain/base.ts";
import { meanEmbedding } from "../pretrain/stages.ts";
import { alignerEngine, embed, speakerEngine } from "../voice/prepare.ts";
import { openRun, RUN, type VoiceRun, writeRun } from "../voice/run.ts";
import { holdOut, type Segment } from "../voice/segments.ts";
import {
	type AskedFor,
	type Collected,
	type Discarded,
	TEACHER_DIR,
} from "./collect.ts";
import { makeLessons } from "./lessons.ts";

/** What was left out of a run, beside the teacher's sentences. */
const DISCARDED = "discarded.json";
/** What the run's speech was asked for, there too. */
const ASKED = "asked.json";

/** A run to be made of what a teacher has spoken. */
export interface FromTeacherOptions {
	/** The run's folder. */
	out: string;
	/** Folder of the base. */
	base: string;
	/** The voice's name, an id. */
	name: string;
	/** The teacher's address, kept in the run. */
	teacher: string;
	consent?: string;
	signal?: AbortSignal;
	/** Told how many sentences are judged. */
	onDone?: (done: number) => void;
}

/** A run, and what was left out of it. */
export interface TaughtRun {
	run: VoiceRun;
	discarded: Discarded[];
	/** Undefined for a run that does not say. */
	asked?: AskedFor | undefined;
}

/**
 * Makes a run of what a teacher has spoken: each sentence judged, aligned and cut by itself, the speaker
 * embedded. From there on it is a run like that of a recording.
 * @throws WattvoxError E_ALIGN when too little can be learned from, E_OUTPUT, E_DISK_FULL
 */
export async function prepareFromTeacher(
	collected: Collected,
	o: FromTeacherOptions,
): Promise<TaughtRun> {
	checkId(o.name, "voice name");
	const base = await readBase(o.base);
	const { sampleRate } = base.audio;
	const aligner = await alignerEngine(base, o.base);
	const lessons = await makeLessons(collected.spoken, base, aligner, o).finally(
		() => aligner.dispose(),
	);
	const discarded = [...collected.discarded, ...lessons.discarded];
	if (lessons.segments.length < 4)
		throw new WattvoxError(
			"E_ALIGN",
			`${lessons.texts.length} of the teacher's ${collected.spoken.length} sentences can be learned from${discarded.length ? ` (${reasons(discarded)})` : ""}; at least four are needed`,
		);
	await writeAtomic(
		join(o.out, TEACHER_DIR, DISCARDED),
		`${JSON.stringify(discarded, null, "\t")}\n`,
	);
	const { asked } = collected;
	await writeAtomic(
		join(o.out, TEACHER_DIR, ASKED),
		`${JSON.stringify(asked, null, "\t")}\n`,
	);
	await writeAtomic(
		join(o.out, RUN.clip),
		writeWav(lessons.samples, sampleRate),
	);
	await writeRun({
		dir: o.out,
		baseDir: o.base,
		base,
		name: o.name,
		created: new Date().toISOString(),
		text: lessons.texts.join("\n"),
		consent: o.consent ?? NO_CONSENT,
		teacher: o.teacher,
		speaker: await speakerOf(lessons.segments, base, o),
		segments: holdOut(lessons.segments),
		samples: lessons.samples,
	});
	return { run: await openRun(o.out), discarded, asked };
}

/** A run that {@link prepareFromTeacher} made, with what it left out. */
export async function openTaught(dir: string): Promise<TaughtRun> {
	const read = async (name: string, without?: unknown) => {
		const json = await readFile(join(dir, TEACHER_DIR, name), "utf8").catch(
			() => undefined,
		);
		return json === undefined ? without : JSON.parse(json);
	};
	return {
		run: await openRun(dir),
		discarded: await read(DISCARDED, []),
		asked: await read(ASKED),
	};
}

/** Discarded sentences counted by reason: "3 silent, 1 too long". */
export function reasons(discarded: readonly Discarded[]): string {
	const counts = new Map<string, number>();
	for (const { reason } of discarded)
		counts.set(reason, (counts.get(reason) ?? 0) + 1);
	return [...counts].map(([reason, n]) => `${n} ${reason}`).join(", ");
}

/** The mean embedding of the segments of a second or more, or of all when none is that long. */
async function speakerOf(
	segments: readonly Segment[],
	base: Base,
	o: FromTeacherOptions,
): Promise<Float32Array> {
	const { hop, sampleRate, nMels } = base.audio;
	const long = segments.filter((s) => s.frames * hop >= sampleRate);
	const engine = await speakerEngine(base, o.base);
	try {
		const list: Float32Array[] = [];
		for (const s of long.length ? long : segments) {
			o.signal?.throwIfAborted();
			list.push(await embed(engine, s.mel, nMels));
		}
		return meanEmbedding(list);
	} finally {
		await engine.dispose();
	}
}
