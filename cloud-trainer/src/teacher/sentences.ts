import { readFile } from "node:fs/promises";
import { WattvoxError } from "@wattvox/core";

/** Sentences that a teacher speaks when nobody gives others. */
const SHIPPED = new URL("../../data/teacher-en.txt", import.meta.url);

/**
 * The sentences of a text file, one a line; blank lines, repetitions and lines that begin with # are
 * passed over.
 * @param path of the file; by default the list that ships, which is English
 * @param language of the base
 * @throws WattvoxError E_FILE_MISSING, E_TEXT_EMPTY, E_USAGE for a base that the list does not suit
 */
export async function readSentences(
	path: string | undefined,
	language: string,
): Promise<string[]> {
	if (path === undefined && !language.startsWith("en"))
		throw new WattvoxError(
			"E_USAGE",
			`no sentences ship for a base of language ${language}: give --texts`,
		);
	const text = await readFile(path ?? SHIPPED, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `no sentences at ${path}`, {
			cause,
		});
	});
	const lines = text
		.replace(/^\uFEFF/, "")
		.split(/\r?\n/)
		.map((line) => line.trim())
		.filter((line) => line && !line.startsWith("#"));
	if (lines.length === 0)
		throw new WattvoxError("E_TEXT_EMPTY", `${path} holds no sentences`);
	return [...new Set(lines)];
}
