import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import {
	asWattvoxError,
	catchInterrupts,
	plainProgress,
	WattvoxError,
} from "@wattvox/core";
import { generate } from "./corpus/generate.ts";

const HELP = `Makes the speech that the base is trained on, and the recordings it is judged by.
usage: node scripts/dist/corpus.js --out DIR [--hours H] [--seed N] [--jobs J]
  --out DIR      training corpus: wavs/, utterances.jsonl, speakers.json, heldout.txt; resumes
  --hours H      length in hours (default 6)
  --seed N       default 1
  --jobs J       utterances spoken at once (default: processors)
Needs flite, sox, gcc and libespeak-ng (Debian: apt install flite sox espeak-ng gcc).
`;

function number(
	value: string | undefined,
	otherwise: number,
	name: string,
): number {
	const n = value === undefined ? otherwise : Number(value);
	if (!Number.isFinite(n) || n <= 0) {
		throw new WattvoxError("E_USAGE", `--${name} needs a positive number`);
	}
	return n;
}

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			out: { type: "string" },
			hours: { type: "string" },
			seed: { type: "string" },
			jobs: { type: "string" },
			help: { type: "boolean" },
		},
	});
	if (values.help || !values.out) {
		process.stdout.write(HELP);
		if (!values.help) process.exitCode = 2;
		return;
	}
	const write = (line: string) => process.stderr.write(`${line}\n`);
	const interrupts = catchInterrupts(() =>
		write("stopping; run again to resume"),
	);
	try {
		const summary = await generate(values.out, {
			hours: number(values.hours, 6, "hours"),
			seed: Math.round(number(values.seed, 1, "seed")),
			jobs: Math.round(number(values.jobs, availableParallelism(), "jobs")),
			progress: plainProgress(write),
			signal: interrupts.signal,
		});
		process.stdout.write(`${JSON.stringify(summary)}\n`);
	} finally {
		interrupts.stop();
	}
}

try {
	await main();
} catch (thrown) {
	const error = asWattvoxError(thrown);
	process.stderr.write(`${error.code}: ${error.message}\n${error.help}\n`);
	process.exitCode = error.exit;
}
