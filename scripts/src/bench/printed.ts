import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { catchInterrupts, plainProgress, silentProgress } from "@wattvox/core";

/** What a benchmark does, and how its result reads for people. */
export interface Measuring<Result> {
	/** @throws the signal's reason */
	measure(note: (line: string) => void, signal: AbortSignal): Promise<Result>;
	report(result: Result): string;
}

/** Measures, telling progress on standard error, and prints the result; Ctrl-C ends it. */
export async function printed<Result>(
	json: boolean,
	{ measure, report }: Measuring<Result>,
): Promise<void> {
	const interrupts = catchInterrupts();
	const progress = json
		? silentProgress
		: plainProgress((line) => process.stderr.write(`${line}\n`));
	try {
		const result = await measure(progress.note, interrupts.signal);
		process.stdout.write(
			json ? `${JSON.stringify(result, null, "\t")}\n` : report(result),
		);
	} finally {
		interrupts.stop();
	}
}

/** Gives `use` a new folder below `root`, which is removed when it is done. */
export async function withFolder<T>(
	root: string,
	prefix: string,
	use: (dir: string) => Promise<T>,
): Promise<T> {
	const dir = await mkdtemp(join(root, prefix));
	try {
		return await use(dir);
	} finally {
		await rm(dir, { recursive: true, force: true });
	}
}
