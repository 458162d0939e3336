import { readFile } from "node:fs/promises";
import { WattvoxError } from "@wattvox/core";
import type { OptionTable } from "./command.ts";

/** What every `lora` command takes. */
export const MAP = {
	map: {
		type: "string",
		describe:
			"JSON file: module path by initialiser or node name, where the derived one is not wanted",
	},
} as const satisfies OptionTable;

/** Names of module paths as `--map` gives them. @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT */
export async function readMap(
	path: string | undefined,
): Promise<{ modules?: Record<string, string> }> {
	if (path === undefined) return {};
	const text = await readFile(path, "utf8");
	try {
		const map: unknown = JSON.parse(text);
		if (
			map &&
			typeof map === "object" &&
			Object.values(map).every((v) => typeof v === "string")
		)
			return { modules: map as Record<string, string> };
	} catch {
		// told below
	}
	throw new WattvoxError(
		"E_FILE_FORMAT",
		`${path} is no JSON object of names to module paths`,
	);
}

/** `q_proj=16` as an entry of a pattern table. @throws WattvoxError E_USAGE */
export function patternTable(
	option: string,
	entries: readonly string[] | undefined,
): Record<string, number> {
	const table: Record<string, number> = {};
	for (const entry of entries ?? []) {
		const at = entry.lastIndexOf("=");
		const value = Number(entry.slice(at + 1));
		if (at < 1 || !(value > 0))
			throw new WattvoxError(
				"E_USAGE",
				`--${option} ${entry}: give PATTERN=NUMBER`,
			);
		const pattern = entry.slice(0, at);
		try {
			new RegExp(pattern);
		} catch (cause) {
			throw new WattvoxError(
				"E_USAGE",
				`--${option}: ${pattern} is no regular expression`,
				{ cause },
			);
		}
		table[pattern] = value;
	}
	return table;
}

/** Says of pairs in a PEFT folder which ones the PEFT library has no form for; undefined when none. */
export function notPeft(
	pairs: readonly { module: string; kind: string }[],
): string | undefined {
	const own = pairs.filter((p) => p.kind === "conv-transpose");
	if (!own.length) return undefined;
	return `PEFT has no pair for ConvTranspose: the library refuses this folder, for ${own.map((p) => p.module).join(", ")}`;
}

/** A share as people read it. */
export const percent = (share: number): string =>
	`${(100 * share).toPrecision(3)} %`;
