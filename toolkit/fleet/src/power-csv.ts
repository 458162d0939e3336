import type { PowerTable } from "./power-table.ts";

const COLUMNS = [
	"name",
	"fleet",
	"device",
	"voice",
	"deviceClass",
	"at",
	"utterances",
	"audioSeconds",
	"realTimeFactor",
	"joules",
	"joulesPerAudioSecond",
	"estimatedJoules",
	"estimatedJoulesPerAudioSecond",
	"devices",
	"measured",
] as const;

/** A table as CSV (RFC 4180), one line per row, without the total. Unknown is empty, never 0. */
export function powerCsv({ rows }: PowerTable): string {
	const lines = rows.map((row) => COLUMNS.map((c) => csvCell(row[c])));
	return [COLUMNS, ...lines].map((line) => `${line.join(",")}\r\n`).join("");
}

/** Quoted where it must be; no cell begins a formula in a spreadsheet. */
export function csvCell(value: string | number | null): string {
	if (value === null) return "";
	const text = String(value);
	const safe =
		typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
	return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
