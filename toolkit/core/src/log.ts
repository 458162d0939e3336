import {
	type Bindings,
	type DestinationStream,
	destination,
	type Logger,
	pino,
} from "pino";
import { redact } from "./redact.ts";

export type Log = Logger;

const LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

/** The level that WATTVOX_LOG asks for; `fallback` when it is unset or not a level. */
export function logLevel(
	env: NodeJS.ProcessEnv = process.env,
	fallback = "warn",
): string {
	const asked = env.WATTVOX_LOG?.toLowerCase() ?? "";
	return LEVELS.includes(asked) ? asked : fallback;
}

export interface LogOptions {
	/** One of pino's levels. Default: {@link logLevel}. */
	level?: string;
	/** Where lines go. Default: standard error, so that standard output stays the program's result. */
	to?: DestinationStream;
}

/**
 * A log of one JSON object a line. Secrets are taken out of every line whatever the caller passes:
 * by key name at any depth, and by shape (credentials in URLs, bearer tokens, private keys) in any string.
 * @param name which part speaks: "agent", "store"
 */
export function createLog(name: string, options: LogOptions = {}): Log {
	const log = pino(
		{
			name,
			level: options.level ?? logLevel(),
			base: { pid: process.pid },
			// pino's own serialiser for `err` would run after the redaction and bring the original back
			serializers: { err: (value: unknown) => value },
			formatters: {
				level: (label) => ({ level: label }),
				log: (fields) => redact(fields) as Record<string, unknown>,
			},
			hooks: {
				logMethod(args, method) {
					method.apply(this, safeArguments(args));
				},
			},
		},
		options.to ?? destination({ dest: 2, sync: true }),
	);
	// pino formats no child's bindings; children inherit this method, so theirs are covered too
	const { child, setBindings } = log;
	log.child = function (this: Log, bindings: Bindings, more?: object) {
		return child.call(this, redact(bindings) as Bindings, more);
	} as typeof child;
	log.setBindings = function (this: Log, bindings: Bindings) {
		setBindings.call(this, redact(bindings) as Bindings);
	};
	return log;
}

/**
 * The arguments of a log call with every string redacted. The fields, the first argument, are left
 * to `formatters.log`; but pino takes the message from an error when there is none, past that hook.
 */
function safeArguments<A extends unknown[]>(args: A): A {
	const [first, ...rest] = args;
	const fields = typeof first === "object" && first !== null;
	const error =
		first instanceof Error ? first : fields && (first as { err?: unknown }).err;
	if (error instanceof Error && rest[0] === undefined) rest[0] = error.message;
	return [fields ? first : redact(first), ...rest.map(redact)] as A;
}
