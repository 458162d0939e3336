import { readFileSync } from "node:fs";
import { WattvoxError } from "@wattvox/core";
import yargs, { type Argv } from "yargs";
import type { Command, OptionTable } from "./command.ts";
import { configured } from "./config.ts";

/** What the command line asks for. */
export type Asked =
	| { kind: "text"; text: string }
	| { kind: "run"; command: Command; args: Record<string, unknown> };

const GLOBAL = {
	json: {
		type: "boolean",
		default: false,
		describe: "One JSON value on standard output, for programs",
	},
	config: {
		type: "string",
		requiresArg: true,
		describe: "Config file (JSON): option names and values",
	},
} as const satisfies OptionTable;

/**
 * Reads a command line; runs nothing.
 * @param groups what the first words of several commands stand for: "keys" -> "Signing keys"
 * @throws WattvoxError E_USAGE, and E_FILE_MISSING or E_FILE_FORMAT for the config file
 */
export async function parse(
	argv: readonly string[],
	commands: readonly Command[],
	groups: Readonly<Record<string, string>>,
	env: NodeJS.ProcessEnv,
	columns = 80,
): Promise<Asked> {
	let asked: Asked | undefined;
	const known: OptionTable = Object.assign(
		{},
		...commands.map((c) => c.options),
	);
	const add = (to: Argv, command: Command, usage: string) =>
		to.command(
			usage,
			command.about,
			(y) => describe(y, command, known, env, argv),
			(args) => {
				asked = { kind: "run", command, args: check(command, args) };
			},
		);

	const top = yargs()
		.scriptName("wattvox")
		.usage("$0 <command>: one minute of a voice becomes a voice on a device")
		.locale("en")
		.parserConfiguration({ "greedy-arrays": false })
		.options(GLOBAL)
		.strict()
		.recommendCommands()
		.demandCommand(1, "which command?")
		.version(version())
		.help()
		.wrap(Math.min(100, columns))
		.exitProcess(false);
	for (const command of commands)
		if (command.usage.split(" ", 1)[0] === firstWord(command, groups))
			add(top, command, command.usage);
	for (const [word, about] of Object.entries(groups))
		top.command(word, about, (y) => {
			for (const command of commands)
				if (command.usage.startsWith(`${word} `))
					add(y, command, command.usage.slice(word.length + 1));
			return y.demandCommand(1, `which ${word} command?`);
		});

	await new Promise<void>((resolve, reject) => {
		const done = (error: unknown, output: string) => {
			if (error instanceof WattvoxError) reject(error);
			else if (error)
				reject(
					unknownCommand(argv, commands, groups) ?? usageError(error, output),
				);
			else {
				if (output)
					asked = { kind: "text", text: output + examples(argv, commands) };
				resolve();
			}
		};
		// yargs reports through the callback, and throws what a builder throws
		Promise.resolve(
			top.parse(shield(argv), {}, (error, _args, output) =>
				done(error, output),
			),
		).catch((thrown) => done(thrown, ""));
	});
	if (!asked) throw new WattvoxError("E_USAGE", "which command?");
	return asked;
}

/** The examples of the command whose help is asked for, each on a line of its own to be copied. */
function examples(
	argv: readonly string[],
	commands: readonly Command[],
): string {
	const words = argv.filter((word) => !word.startsWith("-")).join(" ");
	const command = argv.includes("--help")
		? commands.find(({ usage }) => {
				const path = usage.replace(/ [<[].*/, "");
				return words === path || words.startsWith(`${path} `);
			})
		: undefined;
	if (!command) return "";
	const lines = command.examples.map(
		([line, what]) => `  wattvox ${line}\n      ${what}`,
	);
	return `\n\nExamples:\n${lines.join("\n")}`;
}

/** The command's own first word, or "" when that word names a group. */
function firstWord(
	command: Command,
	groups: Readonly<Record<string, string>>,
): string {
	const word = command.usage.split(" ", 1)[0] ?? "";
	return word in groups ? "" : word;
}

function describe(
	y: Argv,
	command: Command,
	known: OptionTable,
	env: NodeJS.ProcessEnv,
	argv: readonly string[],
): Argv {
	for (const [name, option] of Object.entries(command.positionals)) {
		const { demandOption: _, ...positional } = option;
		y.positional(name, positional as Parameters<Argv["positional"]>[1]);
	}
	for (const [name, option] of Object.entries(command.options))
		y.option(name, {
			...option,
			...(option.type !== "boolean" && { requiresArg: true }),
		});
	return y.config(
		configured(command.options, known, env, flag(argv, "--config")),
	);
}

/** A flag's value before yargs has parsed anything: the config it names decides what is parsed. */
function flag(argv: readonly string[], name: string): string | undefined {
	const at = argv.findIndex((a) => a === name || a.startsWith(`${name}=`));
	const found = argv[at];
	return found === name ? argv[at + 1] : found?.slice(name.length + 1);
}

/** What yargs lets through: numbers that are none, and single values given twice. */
function check(
	command: Command,
	args: Record<string, unknown>,
): Record<string, unknown> {
	for (const [name, option] of Object.entries({
		...command.positionals,
		...command.options,
	})) {
		const value = unshield(args[name]);
		if (value !== undefined) args[name] = value;
		if (option.type === "number" && Number.isNaN(value))
			throw new WattvoxError("E_USAGE", `--${name} is not a number`);
		if (option.type !== "array" && Array.isArray(value))
			throw new WattvoxError("E_USAGE", `--${name} is given twice`);
	}
	return args;
}

/** No argument can hold it, so no argument is mistaken for a shielded one. */
const SHIELD = "\0";

/** What follows `--` is text even if it begins with a dash. yargs itself fills no positional from there. */
function shield(argv: readonly string[]): string[] {
	const end = argv.indexOf("--");
	if (end < 0) return [...argv];
	const text = argv.slice(end + 1);
	return [
		...argv.slice(0, end),
		...text.map((word) => (word.startsWith("-") ? SHIELD + word : word)),
	];
}

function unshield(value: unknown): unknown {
	return typeof value === "string" && value.startsWith(SHIELD)
		? value.slice(SHIELD.length)
		: value;
}

/** What is said of a first word that begins no command; yargs would call all words unknown. */
function unknownCommand(
	argv: readonly string[],
	commands: readonly Command[],
	groups: Readonly<Record<string, string>>,
): WattvoxError | undefined {
	const word = argv[0];
	if (word === undefined || word.startsWith("-")) return undefined;
	const names = [
		...Object.keys(groups),
		...commands.map((c) => firstWord(c, groups)).filter(Boolean),
	].sort();
	return names.includes(word)
		? undefined
		: new WattvoxError(
				"E_USAGE",
				`there is no command "${word}"; there are ${names.join(", ")}`,
			);
}

function usageError(thrown: unknown, output: string): WattvoxError {
	// yargs prints the help, whose first line is the command's usage, and then what is wrong
	const lines = output.trim().split("\n");
	const said = thrown instanceof Error ? thrown.message : "";
	const message = said || lines.at(-1) || "bad usage";
	return new WattvoxError(
		"E_USAGE",
		message.startsWith("Not enough non-option arguments")
			? `something is missing: ${lines[0]}`
			: message.trim(),
		{ cause: thrown },
	);
}

/** The package's version. */
export function version(): string {
	const path = new URL("../package.json", import.meta.url);
	return (JSON.parse(readFileSync(path, "utf8")) as { version: string })
		.version;
}
