import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import { z } from "zod";
import type { UtteranceAnswer } from "../power/utterance.ts";
import type { PowerTable } from "../power-table.ts";

/** How other commands of this account reach the running server: the file is its owner's alone. */
const zApiFile = z.object({ url: z.url(), token: z.string().min(32) });
export type ApiFile = z.infer<typeof zApiFile>;

const path = (data: string) => join(data, "server.json");

/** Leaves the address in the data folder. @returns takes it away again */
export async function writeApiFile(
	data: string,
	file: ApiFile,
): Promise<() => Promise<void>> {
	await writeAtomic(path(data), JSON.stringify(file), 0o600);
	return () => rm(path(data), { force: true });
}

/** What the running server answers, by its path. */
interface Answers {
	power: PowerTable;
	utterances: UtteranceAnswer;
}

/**
 * An answer of the server that runs on this data folder.
 * @returns undefined when none runs
 * @throws WattvoxError E_USAGE, E_STORE; the signal's reason
 */
export async function askServer<K extends keyof Answers>(
	data: string,
	what: K,
	query: Readonly<Record<string, string | undefined>>,
	signal?: AbortSignal,
): Promise<Answers[K] | undefined> {
	const file = await readApiFile(data);
	if (!file) return undefined;
	const url = new URL(`/api/${what}`, file.url);
	for (const [key, value] of Object.entries(query))
		if (value !== undefined) url.searchParams.set(key, value);
	let response: Response;
	try {
		response = await fetch(url, {
			headers: { authorization: `Bearer ${file.token}` },
			...(signal && { signal }),
		});
	} catch {
		signal?.throwIfAborted();
		// left behind by a server that was killed
		return undefined;
	}
	const body = (await response.json()) as Answers[K] & { error?: string };
	if (response.ok) return body;
	// another program may have taken the port
	if (response.status === 401 || response.status === 404) return undefined;
	throw new WattvoxError(
		response.status === 400 ? "E_USAGE" : "E_STORE",
		body.error ?? `the fleet's server said ${response.status}`,
	);
}

async function readApiFile(data: string): Promise<ApiFile | undefined> {
	try {
		return zApiFile.parse(JSON.parse(await readFile(path(data), "utf8")));
	} catch {
		return undefined;
	}
}
