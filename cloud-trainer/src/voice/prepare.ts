import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { NO_CONSENT } from "@wattvox/bundle";
import {
	checkId,
	ensureWritableDir,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import { encodeModel, floats } from "@wattvox/onnx";
import { createEngine, type Engine } from "@wattvox/runtime";
import {
	checkClip,
	logMel,
	normaliseLoudness,
	readWav,
	resample,
	toPhones,
	writeWav,
} from "@wattvox/speech";
import { alignTranscript, phoneProbabilities } from "../align/aligner.ts";
import { transcriptTokens } from "../align/transcript.ts";
import { alignerGraph, speakerGraph } from "../graphs/encoders.ts";
import {
	type Base,
	readBase,
	readWeights,
	withWeights,
} from "../pretrain/base.ts";
import { meanEmbedding } from "../pretrain/stages.ts";
import { RUN, type VoiceRun, writeRun } from "./run.ts";
import { cutSegments } from "./segments.ts";

/** A clip to make a voice of. */
export interface PrepareOptions {
	/** Path of the recording: wav of any rate, mono or stereo. */
	clip: string;
	/** Path of its transcript, plain text. */
	text: string;
	/** The run's folder. */
	out: string;
	/** Folder of the base. */
	base: string;
	/** The voice's name, an id. */
	name: string;
	/** What the speaker agreed to. */
	consent?: string;
	signal?: AbortSignal;
}

/** What a preparation found, beside the run itself. */
export interface Prepared {
	run: VoiceRun;
	/** Seconds of speech in the segments. */
	seconds: number;
	/** Mean log-probability per frame of the alignment. */
	score: number;
	/** Parts of the transcript that cannot be pronounced and were left out. */
	skipped: { text: string; index: number; why: string }[];
}

/** Loudness of the corpora that bases are trained on, LUFS: a clip is brought there too. */
export const BASE_LUFS = -23;

async function readText(path: string): Promise<string> {
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `no transcript at ${path}`, {
			cause,
		});
	});
	if (!text.trim()) throw new WattvoxError("E_TEXT_EMPTY", `${path} is empty`);
	return text;
}

/** Reads a recording at the model's rate and checks that a voice can be made of it. */
export async function readClip(
	path: string,
	sampleRate: number,
): Promise<Float32Array> {
	const bytes = await readFile(path).catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `no recording at ${path}`, {
			cause,
		});
	});
	const wav = readWav(bytes);
	checkClip(wav.samples, wav.sampleRate);
	const samples =
		wav.sampleRate === sampleRate
			? wav.samples
			: await resample(wav.samples, wav.sampleRate, sampleRate);
	return normaliseLoudness(samples, sampleRate, BASE_LUFS).samples;
}

/** The embedding [192] of a log-mel by a base's speaker encoder. */
export async function embed(
	engine: Engine,
	mel: Float32Array,
	nMels: number,
): Promise<Float32Array> {
	const { embedding } = await engine.run({
		mel: floats(Float32Array.from(mel), [
			1,
			mel.length / nMels,
			nMels,
		]) as never,
	});
	return Float32Array.from(embedding?.data as Float32Array);
}

/** The speaker encoder of a base. */
export async function speakerEngine(base: Base, dir: string): Promise<Engine> {
	return createEngine(
		encodeModel(
			withWeights(
				speakerGraph(base.speaker, 0),
				await readWeights(dir, "speaker"),
			),
		),
	);
}

/** The aligner of a base. */
export async function alignerEngine(base: Base, dir: string): Promise<Engine> {
	return createEngine(
		encodeModel(
			withWeights(
				alignerGraph(base.aligner, base.symbols.length, 0),
				await readWeights(dir, "aligner"),
			),
		),
	);
}

/**
 * Looks at a clip and its transcript as {@link prepareRun} does first, and leaves nothing behind: for
 * whoever keeps books, or waits for an hour to begin, and does not want to find out then.
 * @throws WattvoxError E_CLIP_*, E_WAV_CORRUPT, E_TEXT_*, E_FILE_MISSING, E_USAGE (the name)
 */
export async function checkRecording(
	o: Pick<PrepareOptions, "clip" | "text" | "base" | "name">,
): Promise<void> {
	checkId(o.name, "voice name");
	const { audio } = await readBase(resolve(o.base));
	toPhones(await readText(o.text));
	await readClip(o.clip, audio.sampleRate);
}

/**
 * Makes a run of a clip and its transcript: checked, resampled, brought to the base's loudness, aligned
 * by the base's own aligner, cut at pauses, and embedded.
 * @throws WattvoxError E_CLIP_*, E_WAV_CORRUPT, E_TEXT_*, E_ALIGN, E_FILE_MISSING, E_OUTPUT, E_DISK_FULL
 */
export async function prepareRun(o: PrepareOptions): Promise<Prepared> {
	checkId(o.name, "voice name");
	const baseDir = resolve(o.base);
	const base = await readBase(baseDir);
	const text = await readText(o.text);
	const spoken = toPhones(text);
	const samples = await readClip(o.clip, base.audio.sampleRate);
	await ensureWritableDir(o.out);
	o.signal?.throwIfAborted();

	const { nMels, hop, sampleRate } = base.audio;
	const mel = logMel(samples, base.audio);
	const frames = mel.length / nMels;
	const transcript = transcriptTokens(spoken.words, base.symbols);
	const aligner = await alignerEngine(base, baseDir);
	const speaker = await speakerEngine(base, baseDir);
	try {
		const logp = await phoneProbabilities(aligner, mel, frames, nMels);
		const alignment = alignTranscript(
			logp,
			frames,
			base.symbols.length,
			transcript,
			hop / sampleRate,
		);
		const segments = cutSegments(
			mel,
			samples,
			base.audio,
			transcript,
			alignment,
		);
		const embeddings: Float32Array[] = [];
		for (const s of segments)
			if (s.frames * hop >= sampleRate)
				embeddings.push(await embed(speaker, s.mel, nMels));
		const run: VoiceRun = {
			dir: o.out,
			baseDir,
			base,
			name: o.name,
			created: new Date().toISOString(),
			text,
			consent: o.consent ?? NO_CONSENT,
			speaker: meanEmbedding(embeddings),
			segments,
			samples,
		};
		await writeAtomic(join(o.out, RUN.clip), writeWav(samples, sampleRate));
		await writeRun(run);
		return {
			run,
			seconds: segments.reduce(
				(sum, s) => sum + (s.frames * hop) / sampleRate,
				0,
			),
			score: alignment.score,
			skipped: spoken.skipped,
		};
	} finally {
		await Promise.all([aligner.dispose(), speaker.dispose()]);
	}
}
