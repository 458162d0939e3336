import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import { logMel, readWav } from "@wattvox/speech";
import { z } from "zod";
import { type Base, readBase } from "../pretrain/base.ts";
import type { Segment } from "./segments.ts";

/** File names of a run's folder. */
export const RUN = {
	description: "run.json",
	clip: "clip.wav",
	ledger: "energy.jsonl",
	teacherAdapter: "teacher-adapter",
	studentAdapter: "student-adapter",
} as const;

const schema = z.object({
	format: z.literal(1),
	/** The voice's name. */
	name: z.string(),
	/** Folder of the base. */
	base: z.string(),
	created: z.iso.datetime(),
	/** The transcript as given. */
	text: z.string(),
	/** What the speaker agreed to. */
	consent: z.string(),
	/** Address of the speech server whose speech this is; absent for a recording. */
	teacher: z.string().optional(),
	speaker: z.array(z.number()),
	segments: z.array(
		z.object({
			id: z.string(),
			text: z.string(),
			split: z.enum(["train", "val"]),
			/** First frame in the clip. */
			frame: z.number().int(),
			frames: z.number().int(),
			phones: z.array(z.number().int()),
			durations: z.array(z.number().int()),
		}),
	),
});

/** A run's folder: one voice on its way from clip to bundle. Each step leaves what the next one needs. */
export interface VoiceRun {
	dir: string;
	baseDir: string;
	base: Base;
	name: string;
	created: string;
	text: string;
	consent: string;
	/** Address of the speech server whose speech this is; absent for a recording. */
	teacher?: string;
	/** The speaker's embedding, [192]. */
	speaker: Float32Array;
	segments: Segment[];
	/** The clip at the model's rate, loudness-normalised. */
	samples: Float32Array;
}

/** Writes a run's description; the clip must lie there already. */
export async function writeRun(run: VoiceRun): Promise<void> {
	const { audio } = run.base;
	await writeAtomic(
		join(run.dir, RUN.description),
		`${JSON.stringify(
			{
				format: 1,
				name: run.name,
				base: run.baseDir,
				created: run.created,
				text: run.text,
				consent: run.consent,
				...(run.teacher !== undefined && { teacher: run.teacher }),
				speaker: Array.from(run.speaker),
				segments: run.segments.map((s) => ({
					id: s.id,
					text: s.text,
					split: s.split,
					frame: Math.round((s.from * audio.sampleRate) / audio.hop),
					frames: s.frames,
					phones: Array.from(s.phones),
					durations: Array.from(s.durations),
				})),
			} satisfies z.infer<typeof schema>,
			null,
			"\t",
		)}\n`,
	);
}

/**
 * Opens a run's folder.
 * @throws WattvoxError E_FILE_MISSING when nothing was prepared there, E_FILE_FORMAT
 */
export async function openRun(dir: string): Promise<VoiceRun> {
	const path = join(dir, RUN.description);
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `${dir} holds no training run`, {
			cause,
		});
	});
	let d: z.infer<typeof schema>;
	try {
		d = schema.parse(JSON.parse(text));
	} catch (cause) {
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`${path} is not a run's description`,
			{ cause },
		);
	}
	const base = await readBase(d.base);
	const { audio } = base;
	const { samples } = readWav(await readFile(join(dir, RUN.clip)));
	const mel = logMel(samples, audio);
	return {
		dir,
		baseDir: d.base,
		base,
		name: d.name,
		created: d.created,
		text: d.text,
		consent: d.consent,
		...(d.teacher !== undefined && { teacher: d.teacher }),
		speaker: Float32Array.from(d.speaker),
		samples,
		segments: d.segments.map((s): Segment => {
			const end = s.frame + s.frames;
			return {
				id: s.id,
				speaker: "target",
				split: s.split,
				text: s.text,
				from: (s.frame * audio.hop) / audio.sampleRate,
				frames: s.frames,
				phones: Int32Array.from(s.phones),
				durations: Int32Array.from(s.durations),
				mel: mel.slice(s.frame * audio.nMels, end * audio.nMels),
				wave: Int16Array.from(
					samples.subarray(s.frame * audio.hop, end * audio.hop),
					(x) => Math.round(Math.max(-1, Math.min(1, x)) * 32767),
				),
			};
		}),
	};
}
