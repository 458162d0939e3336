// Voices laid out in folders, for tests of what becomes of their engines.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import {
	spellingFrontend as frontend,
	tinyBundle,
	tinyVoice,
} from "@wattvox/synth/testing";

/** Lays a small voice out in a folder of its name, with golden sentences. @returns the folder */
export async function layOut(
	dir: string,
	name: string,
	adapterSeed?: number,
): Promise<string> {
	const files = tinyVoice({
		name,
		...(adapterSeed !== undefined && { adapterSeed }),
	});
	const folder = join(dir, name);
	await mkdir(folder);
	const voice = await Voice.load(files, { frontend, mergeHere: true });
	const golden = await makeGolden(voice, ["Hello."], BASE_MEL);
	await voice.dispose();
	for (const s of tinyBundle.sources(files, golden))
		if ("bytes" in s && s.bytes) await writeFile(join(folder, s.name), s.bytes);
	return folder;
}
