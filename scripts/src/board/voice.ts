import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
	newKey,
	type PrivateKey,
	publicPem,
	writeBundle,
} from "@wattvox/bundle";
import { filesOf, readBase } from "@wattvox/cloud-trainer";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle } from "@wattvox/synth/testing";

const BASE = fileURLToPath(
	new URL("../../../models/base-en/", import.meta.url),
);

/** The first voice of the shipped base as a signed bundle, with one golden sentence spoken here. */
export async function baseBundle(dir: string): Promise<{
	key: PrivateKey;
	bundle: string;
	digest: string;
	trust: string;
}> {
	const key = newKey();
	const [bundle, trust] = [join(dir, "bundle"), join(dir, "fleet.pub")];
	const base = await readBase(BASE);
	const speaker = Float32Array.from(Object.values(base.voices)[0] ?? []);
	const files = await filesOf(base, BASE, "base", speaker, "student");
	const voice = await Voice.load(files);
	const golden = await makeGolden(voice, ["All is well."], BASE_MEL);
	await voice.dispose();
	const meta = {
		...tinyBundle.meta("base"),
		sampleRate: base.audio.sampleRate,
	};
	const sources = tinyBundle.sources(files, golden);
	const { digest } = await writeBundle(bundle, sources, meta, key);
	await writeFile(trust, publicPem(key.publicKey));
	return { key, bundle, digest, trust };
}
