import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { formatPeakMemory, WattvoxError, writeAtomic } from "@wattvox/core";
import { command } from "../command.ts";
import { baseDir } from "../training.ts";

const shipped = (name: string) =>
	fileURLToPath(new URL(`../../demo/${name}`, import.meta.url));

/** What the new voice says besides the sentence from `--text`. */
const SENTENCES = [
	"This voice was made from one minute of speech.",
	"It runs on a small device, and it needs no network.",
];

export const demo = command({
	usage: "demo",
	about: "The whole way on this machine: a recording in, a speaking device out",
	examples: [
		["demo", "with the recording that ships"],
		['demo --text "Good morning, Ada."', "says it in the new voice"],
		["demo --clip me.wav --transcript me.txt", "with a recording of your own"],
	],
	positionals: {},
	options: {
		text: {
			type: "string",
			default: "Good morning. The kettle is on, and the door is open.",
			describe: "A sentence for the new voice",
		},
		clip: {
			type: "string",
			describe: "A recording; by default one that ships",
		},
		transcript: { type: "string", describe: "What the recording says" },
		consent: { type: "string", describe: "What the speaker agreed to" },
		base: {
			type: "string",
			describe: "Folder of a base; by default the English one that ships",
		},
		out: { type: "string", default: "demo-out", describe: "Folder for it all" },
		threads: { type: "number", default: 2, describe: "Of one operator" },
		steps: { type: "number", describe: "At most so many, of each training" },
		workload: {
			type: "number",
			describe:
				"Seconds of the fixed workload for joules per second of speech; 0 leaves it out; by default 30 where a sensor measures",
		},
	},
	async run(args, io) {
		const own = args.clip !== undefined;
		if (own !== (args.transcript !== undefined)) {
			throw new WattvoxError("E_USAGE", "--clip and --transcript go together");
		}
		// now, not after the minutes of training that come before it
		if (args.workload && !(args.workload >= 30)) {
			throw new WattvoxError("E_USAGE", "--workload takes at least 30 seconds");
		}
		const [{ runDemo }, { demoReport }, trainer, { NO_CONSENT }] =
			await Promise.all([
				import("../demo/run-demo.ts"),
				import("../demo/demo-report.ts"),
				import("@wattvox/cloud-trainer"),
				import("@wattvox/bundle"),
			]);
		const options = {
			clip: args.clip ?? shipped("clip.wav"),
			transcript: args.transcript ?? shipped("clip.txt"),
			base: await baseDir(args.base),
			out: args.out,
			sentences: [...SENTENCES, args.text],
			unheard: !own && args.base === undefined,
			threads: args.threads,
			consent:
				args.consent ??
				(own
					? NO_CONSENT
					: "A synthetic voice reading a passage: nobody's voice is used."),
			...(args.steps !== undefined && { steps: args.steps }),
			...(args.workload !== undefined && { workload: args.workload }),
		};
		const done = await runDemo(options, io);
		const report = await demoReport(options, done);
		const path = join(args.out, "report.html");
		await writeAtomic(path, trainer.renderReport(report));
		const { formatPowerTable } = await import("@wattvox/fleet");
		io.result(
			{
				report: path,
				files: done.files,
				stages: report.stages,
				figures: report.figures,
				digest: done.exported.digest,
				power: done.power,
				memory: done.memory,
			},
			[
				"",
				trainer.stageTable(report.stages),
				"",
				formatPowerTable(done.power),
				"",
				`peak memory: ${formatPeakMemory(done.memory)}`,
				"",
				...done.files,
				path,
			].join("\n"),
		);
	},
});
