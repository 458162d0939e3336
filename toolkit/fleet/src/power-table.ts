import { table } from "@wattvox/core";
import type { Dimension, PowerStore, Share, Usage } from "./power/store.ts";

/** Figures of one line. Unknown is null, never 0. */
export interface PowerFigures {
	utterances: number;
	audioSeconds: number;
	/** Seconds of work per second of audio; null before the first word. */
	realTimeFactor: number | null;
	/** From sensors alone. */
	joules: number | null;
	/** Joules drawn while speaking, per second of audio, from sensors alone. */
	joulesPerAudioSecond: number | null;
	/** From estimates alone; never added to the measured figures. */
	estimatedJoules: number | null;
	estimatedJoulesPerAudioSecond: number | null;
	/** Devices that reported. */
	devices: number;
	/** Those whose every joule came from a sensor. */
	measured: number;
	/** "1,912 of 2,000 measured". */
	coverage: string;
}

export interface PowerRow extends PowerFigures {
	/** What the line is about: a device, a voice, a class, a time. */
	name: string;
	fleet: string | null;
	device: string | null;
	voice: string | null;
	deviceClass: string | null;
	/** Start of its minute, hour or day, ISO 8601; null: the whole span. */
	at: string | null;
}

export interface PowerTable {
	by: Dimension | "hour" | "day";
	/** ISO 8601, after rounding; null: everything ever reported. */
	since: string | null;
	rows: PowerRow[];
	total: PowerFigures;
}

export interface PowerTableQuery {
	/** Default "device". */
	by?: PowerTable["by"];
	/** Milliseconds; default: everything. */
	since?: number;
	until?: number;
	fleet?: string;
	signal?: AbortSignal;
}

/**
 * Asks the store for a table: what `--json` prints and the dashboard shows.
 * @throws WattvoxError E_USAGE, E_STORE; the signal's reason
 */
export async function powerTable(
	store: Pick<PowerStore, "usage">,
	query: PowerTableQuery = {},
): Promise<PowerTable> {
	const { by = "device", ...span } = query;
	const time = by === "hour" || by === "day";
	const answer = await store.usage({
		...span,
		...(time ? { every: by } : { by: [by] }),
		total: true,
	});
	return {
		by,
		since: answer.since === null ? null : iso(answer.since),
		rows: answer.rows.map((row) => rowOf(row, by)),
		total: figures(answer.total ?? undefined),
	};
}

/** A line of an answer as a line of a table. */
export function rowOf(row: Usage, by: PowerTable["by"]): PowerRow {
	return {
		name: name(row, by),
		fleet: row.fleet,
		device: row.device,
		voice: row.voice,
		deviceClass: row.deviceClass,
		at: row.at === null ? null : iso(row.at),
		...figures(row),
	};
}

/** A line of an answer as figures; without one, of nothing. */
export function figures(row: Usage | undefined): PowerFigures {
	const devices = row?.devices ?? 0;
	const measured = row?.devicesMeasured ?? 0;
	return {
		utterances: row?.utterances ?? 0,
		audioSeconds: row?.audioSeconds ?? 0,
		realTimeFactor: row ? over(row.computeSeconds, row.audioSeconds) : null,
		joules: row?.measured?.joules ?? null,
		joulesPerAudioSecond: perAudioSecond(row?.measured),
		estimatedJoules: row?.estimated?.joules ?? null,
		estimatedJoulesPerAudioSecond: perAudioSecond(row?.estimated),
		devices,
		measured,
		coverage: `${count(measured)} of ${count(devices)} measured`,
	};
}

function perAudioSecond(share: Share | null | undefined): number | null {
	return share ? over(share.speechJoules, share.speechAudioSeconds) : null;
}

function over(amount: number, seconds: number): number | null {
	return seconds > 0 ? amount / seconds : null;
}

function count(n: number): string {
	return n.toLocaleString("en");
}

function iso(at: number): string {
	return new Date(at).toISOString();
}

function name(row: Usage, by: PowerTable["by"]): string {
	switch (by) {
		case "hour":
			return iso(row.at ?? 0).slice(0, 16);
		case "day":
			return iso(row.at ?? 0).slice(0, 10);
		case "voice":
			return row.voice?.slice(0, 12) ?? "no voice";
		case "class":
			return row.deviceClass ?? "not said";
		default:
			return row[by] ?? "";
	}
}

interface Column {
	head: string;
	cell(row: PowerFigures): string;
}

const WORK: readonly Column[] = [
	{ head: "utterances", cell: (r) => String(r.utterances) },
	{ head: "audio s", cell: (r) => r.audioSeconds.toFixed(1) },
];
const TIME: readonly Column[] = [
	{ head: "s per s of audio", cell: (r) => three(r.realTimeFactor) },
];
const MEASURED: readonly Column[] = [
	{ head: "J", cell: (r) => three(r.joules) },
	{ head: "J per s of audio", cell: (r) => three(r.joulesPerAudioSecond) },
];
const ESTIMATED: readonly Column[] = [
	{ head: "est. J", cell: (r) => three(r.estimatedJoules) },
	{
		head: "est. J per s of audio",
		cell: (r) => three(r.estimatedJoulesPerAudioSecond),
	},
];

/**
 * The table for a terminal. Measured joules come first where there are any; without a sensor time
 * comes first and the estimate stands last, labelled.
 */
export function formatPowerTable({ by, rows, total }: PowerTable): string {
	if (rows.length === 0) return "no device has reported yet";
	const columns = [
		...WORK,
		...(total.joules === null ? TIME : [...MEASURED, ...TIME]),
		...(total.estimatedJoules === null ? [] : ESTIMATED),
	];
	const line = (first: string, row: PowerFigures) => [
		first,
		...columns.map((c) => c.cell(row)),
		row.coverage,
	];
	return table(
		[by, ...columns.map((c) => c.head), "energy"],
		[...rows.map((row) => line(row.name, row)), line("all", total)],
		["left", ...columns.map(() => "right" as const), "left"],
	);
}

/** Three figures that count; what nobody knows is said. */
export function three(value: number | null): string {
	if (value === null) return "unknown";
	if (value === 0) return "0";
	const digits = 2 - Math.floor(Math.log10(Math.abs(value)));
	return value.toFixed(Math.max(0, Math.min(6, digits)));
}
