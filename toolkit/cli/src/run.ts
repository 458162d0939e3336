import {
	asWattvoxError,
	catchInterrupts,
	EXIT,
	type InterruptTarget,
	type Progress,
	plainProgress,
	redactText,
	silentProgress,
	type WattvoxError,
} from "@wattvox/core";
import type { Command } from "./command.ts";
import { parse } from "./parse.ts";

/** The process around a command line, so that tests can stand in for it. */
export interface Host extends InterruptTarget {
	env: NodeJS.ProcessEnv;
	stdout: { write(text: string): unknown };
	stderr: { write(text: string): unknown; isTTY?: boolean; columns?: number };
}

/**
 * Parses and runs one command line.
 * @returns the exit code; see EXIT
 */
export async function run(
	argv: readonly string[],
	commands: readonly Command[],
	groups: Readonly<Record<string, string>>,
	host: Host,
): Promise<number> {
	const end = argv.indexOf("--");
	const json = argv.slice(0, end < 0 ? argv.length : end).includes("--json");
	let stopped: "SIGINT" | "SIGTERM" | undefined;
	let printed = false;
	const note = (line: string) => void host.stderr.write(`${line}\n`);
	const interrupts = catchInterrupts((which) => {
		stopped = which;
		if (!json) note("stopping; Ctrl-C again ends at once");
	}, host);
	try {
		const asked = await parse(
			argv,
			commands,
			groups,
			host.env,
			host.stderr.columns,
		);
		if (asked.kind === "text") {
			host.stdout.write(`${asked.text}\n`);
			return EXIT.done;
		}
		await asked.command.run(asked.args, {
			json,
			signal: interrupts.signal,
			progress: json ? silentProgress : await progressOn(host),
			env: host.env,
			result(value, text) {
				printed = true;
				host.stdout.write(`${json ? JSON.stringify(value) : text}\n`);
			},
		});
		const ended = !stopped || (asked.command.service && stopped === "SIGTERM");
		return ended ? EXIT.done : EXIT.interrupted;
	} catch (thrown) {
		const error = asWattvoxError(thrown);
		// a program reads one value: what follows a result goes the other way
		if (json && !printed)
			host.stdout.write(`${JSON.stringify(errorJson(error))}\n`);
		else note(json ? JSON.stringify(errorJson(error)) : errorText(error));
		return error.exit;
	} finally {
		interrupts.stop();
	}
}

/** An error as people read it: "error E_X: what happened", then what to do. */
export function errorText(error: WattvoxError): string {
	const lines = [`error ${error.code}: ${error.message}`, `  ${error.help}`];
	if (error.code === "E_BUG")
		lines.push(
			(error.cause instanceof Error ? error.cause : error).stack ?? "",
		);
	return redactText(lines.join("\n"));
}

/** An error as programs read it. */
export function errorJson(error: WattvoxError) {
	return {
		error: {
			code: error.code,
			message: redactText(error.message),
			help: error.help,
			exit: error.exit,
		},
	};
}

async function progressOn(host: Host): Promise<Progress> {
	if (!host.stderr.isTTY)
		return plainProgress((line) => void host.stderr.write(`${line}\n`));
	const { barProgress } = await import("./bar-progress.ts");
	return barProgress(host.stderr as NodeJS.WriteStream);
}
