import { readFile } from "node:fs/promises";
import { WattvoxError } from "@wattvox/core";
import type { CarbonSource, Series, SeriesPoint } from "./source.ts";
import { valueAt } from "./source.ts";

const TIME = /time|date|from|start/i;
const VALUE = /carbon|intensity|co2|price|cost|rate|value/i;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A table's rows: moments, or times of day that repeat. */
interface Table {
	daily: boolean;
	/** Milliseconds since 1970, or since local midnight; in order. */
	rows: { at: number; value: number | null }[];
}

/**
 * Reads a series from CSV text with a header. The time is the first column whose name says so, the
 * value the first whose name says carbon, intensity, price or the like; else the first and the last.
 * Times are ISO 8601 (without a zone: UTC), seconds or milliseconds since 1970, or times of day
 * ("07:00"), which then repeat daily in local time. An empty value is unknown.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parseSeries(text: string, name: string): Table {
	const [head = "", ...lines] = text.replace(/^\ufeff/, "").split(/\r?\n/);
	const wrong = (line: number, what: string) =>
		new WattvoxError("E_FILE_FORMAT", `${name}:${line}: ${what}`);
	const columns = cells(head);
	if (columns.length < 2) throw wrong(1, "needs a time and a value column");
	const found = columns.findIndex((c) => TIME.test(c));
	const time = Math.max(0, found);
	const named = columns.findIndex((c, i) => i !== time && VALUE.test(c));
	const value = named < 0 ? columns.length - 1 : named;
	const rows: Table["rows"] = [];
	let daily: boolean | undefined;
	for (const [i, line] of lines.entries()) {
		if (line.trim() === "") continue;
		const row = cells(line);
		const clock = /^(\d{1,2}):(\d\d)$/.exec(row[time] ?? "");
		daily ??= clock !== null;
		const at = clock
			? Number(clock[1]) * HOUR + Number(clock[2]) * 60_000
			: moment(row[time] ?? "");
		if (Number.isNaN(at) || daily !== (clock !== null))
			throw wrong(i + 2, `"${row[time]}" is no time`);
		const said = row[value] ?? "";
		const number =
			said === "" || /^(null|nan|n\/a)$/i.test(said) ? null : Number(said);
		if (number !== null && !Number.isFinite(number))
			throw wrong(i + 2, `"${said}" is no number`);
		rows.push({ at, value: number });
	}
	if (rows.length === 0) throw wrong(2, "has no rows");
	rows.sort((a, b) => a.at - b.at);
	return { daily: daily ?? false, rows };
}

function cells(line: string): string[] {
	return line.split(/[,;\t]/).map((c) => c.trim().replace(/^"(.*)"$/, "$1"));
}

function moment(text: string): number {
	if (/^\d{10}$/.test(text)) return Number(text) * 1000;
	if (/^\d{13}$/.test(text)) return Number(text);
	const zoned = /(Z|[+-]\d\d:?\d\d)$/i.test(text);
	return Date.parse(
		zoned
			? text
			: `${text.replace(" ", "T")}${text.includes(":") ? "Z" : "T00:00:00Z"}`,
	);
}

/** A table's stretches between two moments; each row holds until the next. */
export function tablePoints(
	{ daily, rows }: Table,
	from: number,
	to: number,
): SeriesPoint[] {
	const all = daily ? repeat(rows, from, to) : rows;
	const steps = all.slice(1).map((row, i) => row.at - (all[i]?.at ?? 0));
	const usual = steps.length
		? (steps.toSorted((a, b) => a - b)[steps.length >> 1] as number)
		: HOUR;
	return all.flatMap((row, i) => {
		// A hole in the table is not known, and its last row holds as long as rows usually do.
		const next = all[i + 1]?.at ?? row.at + usual;
		const end = daily ? next : Math.min(next, row.at + 2 * usual);
		const point = {
			from: Math.max(from, row.at),
			to: Math.min(to, end),
			value: row.value,
		};
		return point.from < point.to ? [point] : [];
	});
}

/** Times of day as moments, from the midnight before `from` to the one after `to`. */
function repeat(rows: Table["rows"], from: number, to: number): Table["rows"] {
	const midnight = new Date(from);
	midnight.setHours(0, 0, 0, 0);
	const out: Table["rows"] = [];
	for (let day = midnight.getTime() - DAY; day <= to + DAY; day += DAY) {
		const date = new Date(day + 12 * HOUR);
		for (const { at, value } of rows) {
			// Through the calendar, so that a day of 23 or 25 hours keeps its times.
			const moment = new Date(
				date.getFullYear(),
				date.getMonth(),
				date.getDate(),
				0,
				at / 60_000,
			);
			out.push({ at: moment.getTime(), value });
		}
	}
	return out;
}

/** Which kind of figures a file holds. */
export interface FileSeriesOptions {
	unit: string;
	kind: Series["kind"];
}

/** A CSV file as a carbon source or a tariff. It is read anew at each question. */
export function fileSource(
	name: string,
	path: string,
	options: FileSeriesOptions,
): CarbonSource {
	const series = async (from: Date, to: Date): Promise<Series> => {
		const text = await readFile(path, "utf8").catch((cause) => {
			throw new WattvoxError("E_FILE_MISSING", `cannot read ${path}`, {
				cause,
			});
		});
		const table = parseSeries(text, path);
		return {
			source: name,
			...options,
			issuedAt: null,
			points: tablePoints(table, from.getTime(), to.getTime()),
		};
	};
	return {
		name,
		forecast: series,
		history: series,
		intensity: async (at) =>
			valueAt(await series(at, new Date(at.getTime() + 1)), at.getTime()),
	};
}
