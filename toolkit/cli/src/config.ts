import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import type { OptionTable } from "./command.ts";

/** Where the config file is when nobody says: `$XDG_CONFIG_HOME/wattvox/config.json`. */
export function defaultConfigPath(env: NodeJS.ProcessEnv): string {
	return join(
		env.XDG_CONFIG_HOME || join(homedir(), ".config"),
		"wattvox",
		"config.json",
	);
}

/** The environment variable of an option: `block-size` -> `WATTVOX_BLOCK_SIZE`. */
export function variable(option: string): string {
	return `WATTVOX_${option.replaceAll("-", "_").toUpperCase()}`;
}

/**
 * What the environment and the config file say about a command's options: flags come before the
 * environment, the environment before the file. The option tables are the schema of all three.
 * @param options of the command that runs
 * @param known of every command: a name that no command has is a mistake in the file
 * @throws WattvoxError E_USAGE
 */
export function configured(
	options: OptionTable,
	known: OptionTable,
	env: NodeJS.ProcessEnv,
	path?: string,
): Record<string, unknown> {
	const chosen = path ?? env.WATTVOX_CONFIG;
	const file = readConfig(chosen ?? defaultConfigPath(env), !!chosen);
	for (const [name, value] of Object.entries(file)) {
		const option = known[name];
		if (!option) throw new WattvoxError("E_USAGE", `config: no option ${name}`);
		if (!fits(value, option.type))
			throw new WattvoxError(
				"E_USAGE",
				`config: ${name} is not a ${option.type}`,
			);
	}
	const out: Record<string, unknown> = {};
	for (const name of Object.keys(options)) {
		const value = env[variable(name)] ?? file[name];
		if (value !== undefined) out[name] = value;
	}
	return out;
}

function readConfig(path: string, asked: boolean): Record<string, unknown> {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (cause) {
		if (!asked) return {};
		throw new WattvoxError("E_FILE_MISSING", `cannot read config ${path}`, {
			cause,
		});
	}
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value && !Array.isArray(value))
			return value as Record<string, unknown>;
	} catch {
		// said below
	}
	throw new WattvoxError("E_FILE_FORMAT", `config ${path} is no JSON object`);
}

function fits(value: unknown, type: unknown): boolean {
	if (type === "array")
		return Array.isArray(value) && value.every((v) => typeof v === "string");
	return typeof value === type;
}
