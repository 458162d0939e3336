import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { facts, silentProgress, WattvoxError } from "@wattvox/core";
import { booked } from "../booked.ts";
import { type Command, command, type Io } from "../command.ts";
import { SCHEDULE_OPTIONS, scheduled } from "../scheduled.ts";

export const job = command({
	usage: "job <file>",
	about: "Several commands as one work, begun when the grid is clean",
	examples: [
		[
			"job night.json --deadline 07:00 --carbon uk --takes 2h",
			"trains, distils, exports and publishes, done by seven",
		],
		[
			"job night.json --carbon uk --tariff csv:tariff.csv --carbon-price 100",
			"by what power costs with a tonne of CO2e at 100",
		],
		[
			"job night.json",
			"at once; after a crash the same command goes on where it was",
		],
	],
	positionals: {
		file: {
			type: "string",
			demandOption: true,
			describe:
				'JSON: a list of commands, each a list of words, such as [["train", "--clip", "a.wav"], ["distil", "--run", "run"]]',
		},
	},
	options: {
		journal: {
			type: "string",
			describe: "Where it notes what is done; by default FILE.journal",
		},
		...SCHEDULE_OPTIONS,
	},
	async run(args, io) {
		const [{ runJob }, { formatLedger }] = await Promise.all([
			import("@wattvox/cloud-trainer"),
			import("@wattvox/energy"),
		]);
		const steps = await readSteps(args.file, io.env);
		const journal = args.journal ?? `${args.file}.journal`;
		const results: Record<string, unknown> = {};
		const { value, schedule, text } = await scheduled(
			args,
			io,
			dirname(journal),
			"15m",
			(io, report) =>
				booked(
					`${journal.replace(/\.journal$/, "")}.energy.jsonl`,
					async ({ ledger, cost }) => {
						const tell = () => report(cost());
						const telling = setInterval(tell, TELL_MS).unref();
						try {
							await runJob(
								journal,
								steps.map(({ name, command, args, once }) => ({
									name,
									once,
									run: () =>
										ledger.stage(name, () =>
											command.run(args, inner(io, name, results)),
										),
								})),
								io.signal,
							);
							return ledger.summary();
						} finally {
							clearInterval(telling);
							tell();
						}
					},
					{ job: `job ${basename(args.file)}` },
				),
		);
		io.result(
			{ steps: steps.map((s) => s.name), results, schedule, energy: value },
			`${facts(steps.map((s) => [s.name, name(s.name, results)]))}\n\n${formatLedger(value)}${text}`,
		);
	},
});

/** Between two words to the schedule of what the work has cost so far, ms. */
const TELL_MS = 10_000;

const name = (step: string, results: Record<string, unknown>) =>
	step in results ? "done" : "done before";

interface Step {
	name: string;
	command: Command;
	args: Record<string, never>;
	once: boolean;
}

function isList(value: unknown): value is string[][] {
	const words = (line: unknown) =>
		Array.isArray(line) &&
		line.length > 0 &&
		line.every((word) => typeof word === "string");
	return Array.isArray(value) && value.length > 0 && value.every(words);
}

/**
 * Every command of a job's file, parsed before the first one runs.
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT, E_USAGE
 */
async function readSteps(
	path: string,
	env: NodeJS.ProcessEnv,
): Promise<Step[]> {
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `cannot read ${path}`, { cause });
	});
	let lines: unknown;
	try {
		lines = JSON.parse(text);
	} catch {
		// said below
	}
	if (!isList(lines))
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`${path} is no list of commands, each a list of words`,
		);
	// The registry holds this very command: it is there once something runs.
	const [{ commands, groups }, { parse }] = await Promise.all([
		import("./index.ts"),
		import("../parse.ts"),
	]);
	const steps: Step[] = [];
	for (const [i, words] of lines.entries()) {
		const asked = await parse(words, commands, groups, env);
		if (asked.kind === "text" || asked.command.service || asked.command === job)
			throw new WattvoxError(
				"E_USAGE",
				`${path}: "${words[0]}" is nothing that a job can do`,
			);
		// A step that was changed is another step: it has not been done.
		const hash = createHash("sha256").update(JSON.stringify(words));
		steps.push({
			name: `${i + 1} ${words[0]} ${hash.digest("hex").slice(0, 8)}`,
			command: asked.command,
			args: asked.args as Record<string, never>,
			once: words[0] === "publish",
		});
	}
	return steps;
}

/** A step's own output: its result is kept, its text is a note. */
function inner(io: Io, step: string, results: Record<string, unknown>): Io {
	return {
		...io,
		progress: io.json ? silentProgress : io.progress,
		result(value, text) {
			results[step] = value;
			io.progress.note(`\n${text}\n`);
		},
	};
}
