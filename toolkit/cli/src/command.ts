import type { Progress } from "@wattvox/core";
import type { InferredOptionTypes, Options } from "yargs";

/** What a command has to talk to the world with. */
export interface Io {
	/** Whether a program reads the output: then exactly one JSON value goes to standard output. */
	json: boolean;
	/** Aborts at the first Ctrl-C. */
	signal: AbortSignal;
	/** On standard error; silent under `--json`. */
	progress: Progress;
	env: NodeJS.ProcessEnv;
	/**
	 * The command's result, once: `value` under `--json`, otherwise `text`. An error thrown after it
	 * decides the exit code and is told on standard error.
	 */
	result(value: unknown, text: string): void;
}

/** Option tables as yargs takes them. */
export type OptionTable = Record<string, Options>;

/** One command. `run` imports its part of the product itself, so that no other command pays for it. */
export interface Command<
	P extends OptionTable = OptionTable,
	O extends OptionTable = OptionTable,
> {
	/** As typed, with its positionals: "say <text>". Words before the first bracket are the path. */
	usage: string;
	/** One line. */
	about: string;
	/** [what follows `wattvox`, what it does]; at least one. */
	examples: readonly (readonly [string, string])[];
	/** Keyed by the names in `usage`. */
	positionals: P;
	options: O;
	/**
	 * True for what runs until it is told to stop: SIGTERM then ends it with exit code 0.
	 */
	service?: boolean;
	run(args: InferredOptionTypes<P & O>, io: Io): Promise<void>;
}

/** A command with its arguments' types inferred from its tables, then forgotten for the registry. */
export function command<
	const P extends OptionTable,
	const O extends OptionTable,
>(spec: Command<P, O>): Command {
	return spec as unknown as Command;
}
