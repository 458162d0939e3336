import { table } from "@wattvox/core";
import type { DeviceTotals, Share } from "./collector-totals.ts";

/** One line of the power table: a device, or all of them. Unknown is null, never 0. */
export interface PowerRow {
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
}

export interface DeviceRow extends PowerRow {
	device: string;
	voice: string | null;
	/** How its joules are known. "mixed": some of its boots had a sensor and some had not. */
	energy: "measured" | "estimated" | "mixed" | "unknown";
	sensors: string[];
	/** Of the newest report. */
	at: string;
}

export interface PowerTable {
	devices: DeviceRow[];
	/** Sums; ratios are over the devices that have the figure. */
	total: PowerRow & { devices: number; measured: number; coverage: string };
}

/** The table as data: what `--json` prints. */
export function powerTable(devices: readonly DeviceTotals[]): PowerTable {
	const rows = devices.map((d): DeviceRow => {
		const { device, voice, sensors, at } = d;
		return { device, voice, ...figures([d]), energy: kind(d), sensors, at };
	});
	const measured = rows.filter((r) => r.energy === "measured").length;
	return {
		devices: rows,
		total: {
			...figures(devices),
			devices: rows.length,
			measured,
			coverage: `${measured} of ${rows.length} measured`,
		},
	};
}

function figures(devices: readonly DeviceTotals[]): PowerRow {
	const sum = (value: (d: DeviceTotals) => number) =>
		devices.reduce((total, d) => total + value(d), 0);
	const audioSeconds = sum((d) => d.audioSeconds);
	const measured = add(devices.map((d) => d.measured));
	const estimated = add(devices.map((d) => d.estimated));
	return {
		utterances: sum((d) => d.utterances),
		audioSeconds,
		realTimeFactor: over(
			sum((d) => d.computeSeconds),
			audioSeconds,
		),
		joules: measured?.joules ?? null,
		joulesPerAudioSecond: perAudioSecond(measured),
		estimatedJoules: estimated?.joules ?? null,
		estimatedJoulesPerAudioSecond: perAudioSecond(estimated),
	};
}

function add(shares: readonly (Share | null)[]): Share | null {
	const known = shares.filter((s) => s !== null);
	if (known.length === 0) return null;
	const total = { joules: 0, speechJoules: 0, speechAudioSeconds: 0, boots: 0 };
	for (const share of known) {
		total.joules += share.joules;
		total.speechJoules += share.speechJoules;
		total.speechAudioSeconds += share.speechAudioSeconds;
		total.boots += share.boots;
	}
	return total;
}

function perAudioSecond(share: Share | null): number | null {
	return share && over(share.speechJoules, share.speechAudioSeconds);
}

function over(amount: number, seconds: number): number | null {
	return seconds > 0 ? amount / seconds : null;
}

function kind(d: DeviceTotals): DeviceRow["energy"] {
	if (d.measured && (d.estimated || d.unknownBoots > 0)) return "mixed";
	if (d.measured) return "measured";
	return d.estimated ? "estimated" : "unknown";
}

interface Column {
	head: string;
	cell(row: PowerRow): string;
}

const WORK: readonly Column[] = [
	{ head: "utterances", cell: (r) => String(r.utterances) },
	{ head: "audio s", cell: (r) => r.audioSeconds.toFixed(1) },
];
const TIME: readonly Column[] = [
	{ head: "s per s of audio", cell: (r) => number(r.realTimeFactor) },
];
const MEASURED: readonly Column[] = [
	{ head: "J", cell: (r) => number(r.joules) },
	{ head: "J per s of audio", cell: (r) => number(r.joulesPerAudioSecond) },
];
const ESTIMATED: readonly Column[] = [
	{ head: "est. J", cell: (r) => number(r.estimatedJoules) },
	{
		head: "est. J per s of audio",
		cell: (r) => number(r.estimatedJoulesPerAudioSecond),
	},
];

/**
 * The table for a terminal. Measured joules come first where there are any; without a sensor time
 * comes first and the estimate stands last, labelled.
 */
export function formatPowerTable({ devices, total }: PowerTable): string {
	if (devices.length === 0) return "no device has reported yet";
	const columns = [
		...WORK,
		...(total.joules === null ? TIME : [...MEASURED, ...TIME]),
		...(total.estimatedJoules === null ? [] : ESTIMATED),
	];
	const line = (name: string, row: PowerRow, energy: string) => [
		name,
		...columns.map((c) => c.cell(row)),
		energy,
	];
	return table(
		["device", ...columns.map((c) => c.head), "energy"],
		[
			...devices.map((d) => line(d.device, d, source(d))),
			line("all", total, total.coverage),
		],
		["left", ...columns.map(() => "right" as const), "left"],
	);
}

function source({ energy, sensors }: DeviceRow): string {
	return sensors.length === 0 ? energy : `${energy} (${sensors.join(", ")})`;
}

/** Three figures that count; what nobody knows is said. */
function number(value: number | null): string {
	if (value === null) return "unknown";
	if (value === 0) return "0";
	const digits = 2 - Math.floor(Math.log10(Math.abs(value)));
	return value.toFixed(Math.max(0, Math.min(6, digits)));
}
