import { access } from "node:fs/promises";
import { join } from "node:path";
import {
	type Base,
	edgeGraphs,
	readWeights,
	voiceConfig,
} from "@wattvox/cloud-trainer";
import { WattvoxError } from "@wattvox/core";
import { encodeModel } from "@wattvox/onnx";
import { resample } from "@wattvox/speech";
import { readVoiceFiles, Voice, type VoiceFiles } from "@wattvox/synth";
import {
	type Clip,
	folderVoice,
	type Sentence,
	type VoiceSource,
} from "./clips.ts";
import { RECOGNISER_RATE } from "./recognise.ts";

/**
 * A voice to be evaluated: a bundle or voice folder (it has a voice.json or a
 * manifest), else a folder of wav files.
 *
 * @param alone leave the bundle's adapter out: what its speaker embedding does alone
 * @throws WattvoxError as {@link Voice.load}
 */
export async function openVoice(
	path: string,
	alone = false,
): Promise<VoiceSource> {
	if (!(await isBundle(path))) return folderVoice(path);
	const files = await readVoiceFiles(path);
	if (!alone) return synthesiser(files);
	const { adapter: _, ...config } = files.config;
	return synthesiser({ ...files, config });
}

/** True for a folder that speaks by itself. */
export async function isBundle(path: string): Promise<boolean> {
	for (const file of ["voice.json", "manifest.json"])
		if (await exists(join(path, file))) return true;
	return false;
}

export async function exists(path: string): Promise<boolean> {
	try {
		await access(path);
		return true;
	} catch {
		return false;
	}
}

/**
 * A base as it is, speaking by an embedding alone.
 *
 * @param speaker [192]
 * @throws WattvoxError E_FILE_MISSING, E_MODEL
 */
export async function baseVoice(
	dir: string,
	base: Base,
	size: "student" | "teacher",
	name: string,
	speaker: ArrayLike<number>,
): Promise<VoiceSource> {
	const [acoustic, vocoder] = await Promise.all([
		readWeights(dir, size),
		readWeights(dir, "vocoder"),
	]);
	const graphs = edgeGraphs(base, size, acoustic, vocoder);
	return synthesiser({
		config: voiceConfig(base, size, name, speaker),
		text: encodeModel(graphs.text),
		decoder: encodeModel(graphs.decoder),
	});
}

async function synthesiser(files: VoiceFiles): Promise<VoiceSource> {
	const voice = await Voice.load(files, { threads: 1 });
	const { name, sampleRate } = voice.config;
	return {
		name,
		async say({ text }: Sentence) {
			const samples = await voice.speak(text).samples();
			return sampleRate === RECOGNISER_RATE
				? samples
				: resample(samples, sampleRate, RECOGNISER_RATE);
		},
		dispose: () => voice.dispose(),
	};
}

/**
 * The sentences of `clips`, spoken by another voice.
 *
 * @throws WattvoxError E_FILE_MISSING when it lacks some, what speaking throws,
 *   and the signal's reason
 */
export async function sayAll(
	source: VoiceSource,
	clips: readonly Clip[],
	signal?: AbortSignal,
): Promise<Clip[]> {
	const said: Clip[] = [];
	for (const { name, text } of clips) {
		signal?.throwIfAborted();
		const samples = await source.say({ name, text });
		if (samples) said.push({ name, text, samples });
	}
	if (said.length < clips.length)
		throw new WattvoxError(
			"E_FILE_MISSING",
			`${source.name} has ${said.length} of ${clips.length} sentences`,
		);
	return said;
}
