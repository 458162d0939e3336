import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { WattvoxError } from "@wattvox/core";

/** A recording with its text, before anybody has aligned the two. */
export interface Recording {
	id: string;
	speaker: string;
	text: string;
	/** Path of the wav, relative to the corpus folder. */
	wav: string;
	/** Phones as the corpus itself gives them (AISHELL-3's pinyin); absent where text is to be pronounced. */
	phones?: string[];
}

/** The corpus layouts that can be read. */
export type Layout = "wattvox" | "ljspeech" | "vctk" | "aishell3" | "pairs";

const isThere = async (path: string): Promise<boolean> =>
	!!(await stat(path).catch(() => undefined));

/**
 * Which layout a folder has, told by the files that only that layout has.
 * @throws WattvoxError E_FILE_FORMAT when it is none that we know
 */
export async function detectLayout(dir: string): Promise<Layout> {
	if (await isThere(join(dir, "utterances.jsonl"))) return "wattvox";
	if (await isThere(join(dir, "metadata.csv"))) return "ljspeech";
	if ((await isThere(join(dir, "txt"))) && (await wavFolder(dir)))
		return "vctk";
	if (
		(await isThere(join(dir, "train", "content.txt"))) ||
		(await isThere(join(dir, "content.txt")))
	)
		return "aishell3";
	if ((await pairs(dir)).length) return "pairs";
	throw new WattvoxError(
		"E_FILE_FORMAT",
		`${dir} is no corpus: expected metadata.csv + wavs/ (LJSpeech), txt/ + wav48*/ (VCTK), train/content.txt (AISHELL-3), or NAME.wav beside NAME.txt`,
	);
}

/** The recordings of a corpus folder in any layout but our own, in a stable order. */
export async function readRecordings(
	dir: string,
	layout: Layout,
): Promise<Recording[]> {
	const found = await READERS[layout](dir);
	if (found.length === 0)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			(await hasFlac(dir))
				? `${dir} holds FLAC files: convert them to wav, each beside the other`
				: `${dir} holds no recordings`,
		);
	return found.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Releases of VCTK since 2019 come as FLAC, which is not read here. */
async function hasFlac(dir: string): Promise<boolean> {
	const names = await readdir(dir, { recursive: true }).catch(() => []);
	return names.some((n) => n.endsWith(".flac"));
}

const READERS: Record<Layout, (dir: string) => Promise<Recording[]>> = {
	wattvox: async () => [],
	ljspeech,
	vctk,
	aishell3,
	pairs,
};

/** LJSpeech: metadata.csv with `id|text|normalised text`, wavs/ID.wav; one speaker. */
async function ljspeech(dir: string): Promise<Recording[]> {
	const text = await readFile(join(dir, "metadata.csv"), "utf8");
	return text
		.split("\n")
		.filter((l) => l.trim())
		.map((line, i) => {
			const [id, raw, normalised] = line.split("|");
			if (!id || !raw)
				throw new WattvoxError(
					"E_FILE_FORMAT",
					`metadata.csv:${i + 1} is not id|text|normalised`,
				);
			return {
				id,
				speaker: basename(dir),
				text: (normalised || raw).trim(),
				wav: join("wavs", `${id}.wav`),
			};
		});
}

/** VCTK's folder of recordings; its name changed between releases. */
async function wavFolder(dir: string): Promise<string | undefined> {
	const names = await readdir(dir).catch(() => [] as string[]);
	return names.sort().find((n) => /^wav\d*/.test(n));
}

/** VCTK: txt/SPEAKER/ID.txt, wav48[_...]/SPEAKER/ID[_mic1].wav. */
async function vctk(dir: string): Promise<Recording[]> {
	const wavs = await wavFolder(dir);
	const out: Recording[] = [];
	for (const speaker of (await readdir(join(dir, "txt"))).sort()) {
		const names = await readdir(join(dir, "txt", speaker)).catch(
			() => [] as string[],
		);
		for (const name of names) {
			if (!name.endsWith(".txt")) continue;
			const id = name.slice(0, -4);
			for (const end of ["", "_mic1", "_mic2"]) {
				const wav = join(wavs ?? "wav48", speaker, `${id}${end}.wav`);
				if (!(await isThere(join(dir, wav)))) continue;
				const text = (
					await readFile(join(dir, "txt", speaker, name), "utf8")
				).trim();
				out.push({ id, speaker, text, wav });
				break;
			}
		}
	}
	return out;
}

const INITIAL = /^(zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?([a-zü:]+?)(\d)?$/;

/** A pinyin syllable as initial and final with its tone: "guang3" -> ["g", "uang3"]. */
export function pinyinPhones(syllable: string): string[] {
	const match = INITIAL.exec(syllable.toLowerCase());
	if (!match?.[2]) return [];
	return [match[1], `${match[2]}${match[3] ?? "5"}`].filter(
		(p): p is string => !!p,
	);
}

/** AISHELL-3: content.txt with `ID.wav<tab>char pinyin char pinyin ...`, wav/SPEAKER/ID.wav. */
async function aishell3(dir: string): Promise<Recording[]> {
	const out: Recording[] = [];
	for (const part of ["train", "test", "."]) {
		const text = await readFile(join(dir, part, "content.txt"), "utf8").catch(
			() => "",
		);
		for (const line of text.split("\n")) {
			const [name, rest] = line.split("\t");
			if (!name || !rest) continue;
			const id = name.replace(/\.wav$/, "");
			const speaker = id.slice(0, 7);
			const tokens = rest.trim().split(/\s+/);
			out.push({
				id,
				speaker,
				text: tokens.filter((_, i) => i % 2 === 0).join(""),
				wav: join(part, "wav", speaker, `${id}.wav`),
				phones: [
					"pau",
					...tokens.filter((_, i) => i % 2).flatMap(pinyinPhones),
					"pau",
				],
			});
		}
	}
	return out;
}

/** NAME.wav beside NAME.txt, at any depth; the folder that holds them names the speaker. */
async function pairs(dir: string): Promise<Recording[]> {
	const out: Recording[] = [];
	const entries = await readdir(dir, {
		recursive: true,
		withFileTypes: true,
	}).catch(() => []);
	const names = new Set(
		entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name)),
	);
	for (const path of names) {
		const txt = `${path.slice(0, -4)}.txt`;
		if (!/\.wav$/i.test(path) || !names.has(txt)) continue;
		const wav = relative(dir, path);
		out.push({
			id: wav.slice(0, -4).replace(/[^A-Za-z0-9_-]+/g, "_"),
			speaker: basename(dirname(path)),
			text: (await readFile(txt, "utf8")).trim(),
			wav,
		});
	}
	return out;
}
