import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import {
	asWattvoxError,
	catchInterrupts,
	plainProgress,
	WattvoxError,
} from "@wattvox/core";
import { check, checkTable } from "./corpus/check.ts";
import { generate } from "./corpus/generate.ts";
import { makeEval, makeTarget } from "./corpus/targets.ts";

const HELP = `Makes the speech that the base is trained on, and the recordings it is judged by.
usage: node scripts/dist/corpus.js [--out DIR] [--target DIR] [--second-target DIR] [--eval DIR]
  --out DIR            training corpus: wavs/, utterances.jsonl, speakers.json, heldout.txt; resumes
    --hours H          length in hours (default 10)
    --seed N           default 1
    --only ID,ID       these speakers only
    --jobs J           utterances spoken at once (default: processors)
  --target DIR         the demonstration's clip and held-out recordings: festival's ked, never trained on
  --second-target DIR  the same by another unseen voice: espeak-ng's en-gb-scotland+f4
  --check DIR          figures of a corpus: are pitch, pauses and boundaries where they should be
  --eval DIR           50 unseen sentences by each base voice
Needs flite, sox, gcc and libespeak-ng; for the targets festival with festvox-kdlpc16k and espeak-ng.
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
			target: { type: "string" },
			"second-target": { type: "string" },
			eval: { type: "string" },
			check: { type: "string" },
			only: { type: "string" },
			hours: { type: "string" },
			seed: { type: "string" },
			jobs: { type: "string" },
			help: { type: "boolean" },
		},
	});
	const { out, target, "second-target": second, eval: evaluation } = values;
	if (values.help || !(out || target || second || evaluation || values.check)) {
		process.stdout.write(HELP);
		if (!values.help) process.exitCode = 2;
		return;
	}
	const write = (line: string) => process.stderr.write(`${line}\n`);
	const interrupts = catchInterrupts(() =>
		write("stopping; run again to resume"),
	);
	try {
		const common = {
			progress: plainProgress(write),
			signal: interrupts.signal,
		};
		if (target) await makeTarget(target, { target: "ked", ...common });
		if (second) await makeTarget(second, { target: "scottish", ...common });
		if (evaluation) await makeEval(evaluation, common);
		if (out) {
			const summary = await generate(out, {
				...common,
				hours: number(values.hours, 10, "hours"),
				seed: Math.round(number(values.seed, 1, "seed")),
				...(values.only ? { only: values.only.split(",") } : {}),
				jobs: Math.round(number(values.jobs, availableParallelism(), "jobs")),
			});
			process.stdout.write(`${JSON.stringify(summary)}\n`);
		}
		if (values.check) {
			process.stdout.write(`${checkTable(await check(values.check))}\n`);
		}
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
