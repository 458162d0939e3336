import { open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { outputError, syncDir, WattvoxError } from "@wattvox/core";
import { z } from "zod";

/** One step of a job. */
export interface JobStep {
	name: string;
	run(signal?: AbortSignal): Promise<void>;
	/**
	 * True for what must not happen twice, such as publishing. Other steps are run again after a crash
	 * and go on from their own checkpoints.
	 */
	once?: boolean;
}

const Line = z.object({
	step: z.string(),
	event: z.enum(["begin", "end"]),
	at: z.string(),
});

/**
 * Runs steps in order and notes each on disk, so that the same call goes on after a crash at any moment.
 *
 * INVARIANT: a `once` step is begun at most once, ever. Its beginning is on disk before it runs; when
 * the process died in it, nobody knows whether it happened, and it is never tried again.
 *
 * @param journal JSON lines, only appended to; a torn last line is ignored
 * @throws whatever a step throws; WattvoxError E_UNSURE (an earlier run died or failed in a `once` step), E_OUTPUT, E_DISK_FULL, E_FILE_FORMAT
 */
export async function runJob(
	journal: string,
	steps: readonly JobStep[],
	signal?: AbortSignal,
): Promise<void> {
	const noted = await readJournal(journal);
	for (const step of steps) {
		signal?.throwIfAborted();
		if (noted.has(`${step.name} end`)) continue;
		const begun = noted.has(`${step.name} begin`);
		if (begun && step.once)
			throw new WattvoxError(
				"E_UNSURE",
				`an earlier run died or failed in "${step.name}": nobody knows whether it happened, so it is not done again`,
			);
		if (!begun) await note(journal, step.name, "begin");
		await step.run(signal);
		await note(journal, step.name, "end");
	}
}

/** "step event" of every line. */
async function readJournal(journal: string): Promise<Set<string>> {
	const text = await readFile(journal, "utf8").catch((thrown) => {
		if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return "";
		throw thrown;
	});
	const noted = new Set<string>();
	for (const line of text.split("\n")) {
		const parsed = Line.safeParse(json(line));
		if (parsed.success) noted.add(`${parsed.data.step} ${parsed.data.event}`);
		else if (json(line) !== undefined)
			throw new WattvoxError("E_FILE_FORMAT", `${journal} is no job's journal`);
	}
	return noted;
}

function json(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		return undefined;
	}
}

/** Appends a line; it is on disk when this returns. */
async function note(
	journal: string,
	step: string,
	event: "begin" | "end",
): Promise<void> {
	try {
		const file = await open(journal, "a");
		try {
			const line = { step, event, at: new Date().toISOString() };
			// A crash may have cut the line before this one short: it must not swallow this one.
			await file.appendFile(`\n${JSON.stringify(line)}\n`);
			await file.datasync();
		} finally {
			await file.close();
		}
		await syncDir(dirname(journal));
	} catch (thrown) {
		throw outputError(journal, thrown);
	}
}
