import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type {
	Discarded,
	TaughtRun,
	TeacherSettings,
} from "@wattvox/cloud-trainer";
import { formatSeconds, WattvoxError } from "@wattvox/core";
import type { InferredOptionTypes } from "yargs";
import type { Books } from "./booked.ts";
import type { Io, OptionTable } from "./command.ts";
import { preparedResult } from "./training.ts";

/** How a speech server teaches: `train --teacher`. */
export const TEACHER_OPTIONS = {
	teacher: {
		type: "string",
		describe:
			"Address of a speech server that teaches the voice, in place of a recording",
	},
	"teacher-api": {
		type: "string",
		choices: ["gpt-sovits", "gpt-sovits-v1", "openai"],
		describe: "What it speaks; by default told from the address's path",
	},
	texts: {
		type: "string",
		describe: "What it is to say, one sentence a line; by default our own list",
	},
	"teacher-sentences": {
		type: "number",
		describe: "Have at most so many sentences spoken",
	},
	"teacher-minutes": {
		type: "number",
		default: 10,
		describe: "Have at most so many minutes of speech spoken",
	},
	"teacher-reference": {
		type: "string",
		describe:
			"GPT-SoVITS: the reference recording's path on its machine; --clip when that is this one",
	},
	"teacher-reference-text": {
		type: "string",
		describe: "GPT-SoVITS: what is said there; or --text FILE",
	},
	"teacher-language": {
		type: "string",
		describe: "GPT-SoVITS: of sentences and reference; the base's by default",
	},
	"teacher-voice": { type: "string", describe: "OpenAI: the voice's name" },
	"teacher-model": { type: "string", describe: "OpenAI: the model's name" },
	"teacher-extra": {
		type: "string",
		describe: `Further fields of each request as JSON: '{"seed":1}'`,
	},
	"teacher-timeout": {
		type: "number",
		default: 60,
		describe: "Seconds that a sentence may take",
	},
} as const satisfies OptionTable;

type Given = InferredOptionTypes<typeof TEACHER_OPTIONS> & {
	clip?: string | undefined;
	text?: string | undefined;
};
/** Arguments with a teacher among them. */
export type TeacherArgs = Given & { teacher: string };

/** Where the key of a speech server comes from: the environment alone, and OpenAI's goes to OpenAI alone. */
function teacherKey(url: URL, env: NodeJS.ProcessEnv): string | undefined {
	const ofOpenAi =
		url.protocol === "https:" && url.hostname === "api.openai.com";
	return (
		env.WATTVOX_TEACHER_KEY ||
		(ofOpenAi ? env.OPENAI_API_KEY : undefined) ||
		undefined
	);
}

/**
 * What a teacher is asked with.
 * @param language of the base
 * @throws WattvoxError E_USAGE, E_FILE_MISSING
 */
export async function teacherSettings(
	args: TeacherArgs,
	language: string,
): Promise<TeacherSettings> {
	const { apiOf, teacherUrl } = await import("@wattvox/cloud-trainer");
	const { href } = teacherUrl(args.teacher);
	const api = (args["teacher-api"] ?? apiOf(href)) as TeacherSettings["api"];
	const reference =
		args["teacher-reference"] ?? (args.clip && resolve(args.clip));
	if (api === "openai" && reference !== undefined)
		throw new WattvoxError(
			"E_USAGE",
			"OpenAI's API takes no reference recording: choose a voice with --teacher-voice",
		);
	const said =
		args["teacher-reference-text"] ??
		(args.text === undefined ? undefined : await transcript(args.text));
	return {
		url: href,
		api,
		language: args["teacher-language"] ?? language.replace(/[-_].*/, ""),
		...(reference && { reference }),
		...(said && { referenceText: said }),
		...(args["teacher-voice"] && { voice: args["teacher-voice"] }),
		...(args["teacher-model"] && { model: args["teacher-model"] }),
		...(args["teacher-extra"] && { extra: fields(args["teacher-extra"]) }),
	};
}

async function transcript(path: string): Promise<string> {
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `no transcript at ${path}`, {
			cause,
		});
	});
	return text.replace(/\s+/g, " ").trim();
}

function fields(json: string): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(json);
		if (typeof value === "object" && value && !Array.isArray(value))
			return value as Record<string, unknown>;
	} catch {
		// said below
	}
	throw new WattvoxError("E_USAGE", "--teacher-extra takes a JSON object");
}

/**
 * The run in a folder if a teacher's speech was prepared there, otherwise it is spoken and prepared now.
 * @throws WattvoxError E_USAGE, E_TEACHER, E_ALIGN, E_TEXT_EMPTY, E_FILE_MISSING, E_OUTPUT, E_DISK_FULL
 */
export async function openOrAsk(
	args: TeacherArgs & { out: string; consent?: string | undefined },
	base: string,
	name: string,
	io: Io,
	books: Books,
): Promise<TaughtRun> {
	const trainer = await import("@wattvox/cloud-trainer");
	const { language, symbols } = await trainer.readBase(base);
	const settings = await teacherSettings(args, language);
	const sentences = await trainer.readSentences(args.texts, language);
	const budget = budgetOf(args);
	if (existsSync(join(args.out, trainer.RUN.description))) {
		const taught = await trainer.openTaught(args.out);
		const { run } = taught;
		if (run.name !== name || run.teacher !== settings.url)
			throw new WattvoxError(
				"E_USAGE",
				`${args.out} holds the run of another voice, ${run.name}: give another --out`,
			);
		const { asked } = taught;
		const now = trainer.askedFor(sentences, budget);
		if (asked && JSON.stringify(asked) !== JSON.stringify(now))
			throw new WattvoxError(
				"E_USAGE",
				`${args.out} was prepared from another list of sentences or another budget: give another --out (with a copy of ${join(args.out, trainer.TEACHER_DIR)} in it nothing is asked for again)`,
			);
		io.progress.note(`going on with the run in ${args.out}`);
		return taught;
	}
	const most = Math.min(sentences.length, budget.sentences ?? sentences.length);
	const key = teacherKey(new URL(settings.url), io.env);
	const client = new trainer.TeacherClient(settings, {
		timeoutMs: 1000 * args["teacher-timeout"],
		...(key !== undefined && { key }),
		onRetry: (why, wait) =>
			io.progress.note(`${why}; again in ${formatSeconds(wait / 1000)}`),
	});
	const collected = await staged("teacher", most, io, books, async (task) => {
		const got = await trainer.collect({
			dir: args.out,
			settings,
			sentences,
			budget,
			say: (text, signal) => client.say(text, signal),
			refuse: (text) => trainer.unpronounceable(text, symbols),
			signal: io.signal,
			onSentence: (d) =>
				task.update(d.sentences, { speech: formatSeconds(d.seconds) }),
		});
		const seconds = got.spoken.reduce((sum, s) => sum + s.seconds, 0);
		const ended = { texts: "", sentences: "; budget", minutes: "; budget" };
		task.finish(
			`${got.spoken.length} sentences, ${formatSeconds(seconds)} of speech${got.kept ? `, ${got.kept} of them kept from before` : ""}${ended[got.ended]}`,
		);
		return got;
	});
	const { spoken } = collected;
	return staged("prepare", spoken.length, io, books, async (task) => {
		const taught = await trainer.prepareFromTeacher(collected, {
			out: args.out,
			base: resolve(base),
			name,
			teacher: settings.url,
			signal: io.signal,
			onDone: (done) => task.update(done),
			...(args.consent !== undefined && { consent: args.consent }),
		});
		task.finish(preparedResult(taught.run));
		tell(taught.discarded, io, trainer.reasons);
		return taught;
	});
}

function budgetOf(args: TeacherArgs) {
	const { "teacher-sentences": sentences, "teacher-minutes": minutes } = args;
	if (
		sentences !== undefined &&
		!(Number.isInteger(sentences) && sentences > 0)
	)
		throw new WattvoxError(
			"E_USAGE",
			"--teacher-sentences must be a whole number from 1",
		);
	for (const name of ["teacher-minutes", "teacher-timeout"] as const)
		if (!(args[name] > 0))
			throw new WattvoxError("E_USAGE", `--${name} must be above 0`);
	return { minutes, ...(sentences !== undefined && { sentences }) };
}

/** Books a stage and shows its progress. */
async function staged<T>(
	name: string,
	most: number,
	io: Io,
	books: Books,
	work: (task: ReturnType<Io["progress"]["task"]>) => Promise<T>,
): Promise<T> {
	const task = io.progress.task(name, most);
	try {
		return await books.ledger.stage(name, () => work(task));
	} catch (thrown) {
		task.fail();
		throw thrown;
	}
}

/** How many discarded sentences are told one by one. */
const TOLD = 5;

function tell(
	discarded: readonly Discarded[],
	io: Io,
	reasons: (d: readonly Discarded[]) => string,
): void {
	if (discarded.length === 0) return;
	io.progress.note(`left out: ${reasons(discarded)}`);
	for (const { text, reason, detail } of discarded.slice(0, TOLD))
		io.progress.note(`  ${JSON.stringify(text)}: ${reason}, ${detail}`);
	if (discarded.length > TOLD)
		io.progress.note(`  and ${discarded.length - TOLD} more`);
}

/** What is said wherever the energy of a run with a teacher is. */
export const TEACHER_ENERGY =
	"The figures are of this machine. What the teacher's server drew is unknown.";
