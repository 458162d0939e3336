import type { LedgerLine } from "./ledger-file.ts";
import { readSpans, type Session, type Span } from "./ledger-spans.ts";
import { add } from "./ledger-summary.ts";

/** The columns of CodeCarbon's emissions.csv, in its order. */
export const CODECARBON_COLUMNS = [
	...["timestamp", "project_name", "run_id", "experiment_id", "duration"],
	...["emissions", "emissions_rate", "cpu_power", "gpu_power", "ram_power"],
	...["cpu_energy", "gpu_energy", "ram_energy", "energy_consumed"],
	...["water_consumed", "country_name", "country_iso_code", "region"],
	...["cloud_provider", "cloud_region", "os", "python_version"],
	...["codecarbon_version", "cpu_count", "cpu_model", "gpu_count", "gpu_model"],
	...["longitude", "latitude", "ram_total_size", "tracking_mode"],
	...["cpu_utilization_percent", "gpu_utilization_percent"],
	...["ram_utilization_percent", "ram_used_gb", "on_cloud", "pue", "wue"],
] as const;
/** What those columns have no place for, after them. */
const MORE = [
	"wattvox_measured",
	"wattvox_coverage",
	"wattvox_plus_minus",
] as const;

type Row = Partial<
	Record<(typeof CODECARBON_COLUMNS)[number] | (typeof MORE)[number], unknown>
>;

/** What a ledger does not know of the machine it was written on. */
export interface MachineColumns {
	os?: string;
	cpuCount?: number;
	cpuModel?: string;
	/** GB. */
	ramTotal?: number;
}

export interface CsvOptions {
	/** Carbon intensity, gCO2e/kWh; null: unknown, and the emissions are empty. */
	gramsPerKWh?: number | null;
	machine?: MachineColumns;
}

/**
 * A ledger as CSV in CodeCarbon's columns, kWh and kg: one row for each outermost stage of each session
 * (`run_id`), its name in `experiment_id`, what the session was for in `project_name`. Unknown is an
 * empty cell, never 0. Three columns after CodeCarbon's own say whether a sensor measured it, the share
 * of time covered, and the half-width of the 95 % interval in kWh.
 */
export function ledgerCsv(
	lines: readonly LedgerLine[],
	options: CsvOptions = {},
): string {
	const { sessions, spans } = readSpans(lines);
	const rows = spans
		.filter((span) => span.path.length === 1)
		.map((span) => row(span, sessions, options));
	const columns = [...CODECARBON_COLUMNS, ...MORE];
	return `${[
		columns.join(","),
		...rows.map((r) => columns.map((c) => cell(r[c])).join(",")),
	].join("\n")}\n`;
}

function row(
	span: Span,
	sessions: ReadonlyMap<string, Session>,
	{ gramsPerKWh = null, machine = {} }: CsvOptions,
): Row {
	const session = sessions.get(span.session);
	const cost = add([span], sessions);
	const kWh = (joules: number | null) =>
		joules === null ? null : joules / 3.6e6;
	const energy = kWh(cost.joules);
	const kilograms =
		energy === null || gramsPerKWh === null
			? null
			: (energy * gramsPerKWh) / 1000;
	const covered = cost.seconds * cost.coverage;
	const per = (amount: number | null) =>
		amount === null || covered <= 0 ? null : amount / covered;
	const domain = (which: "cpu" | "gpu") =>
		joulesOf(span, session, which, cost.joules);
	const began = Date.parse(span.at);
	return {
		timestamp: new Date(began + cost.seconds * 1000).toISOString().slice(0, 19),
		project_name: session?.job ?? "wattvox",
		run_id: span.session,
		experiment_id: span.path[0],
		duration: cost.seconds,
		emissions: kilograms,
		emissions_rate: per(kilograms),
		cpu_power: per(domain("cpu")),
		gpu_power: per(domain("gpu")),
		cpu_energy: kWh(domain("cpu")),
		gpu_energy: kWh(domain("gpu")),
		energy_consumed: energy,
		os: machine.os,
		cpu_count: machine.cpuCount,
		cpu_model: machine.cpuModel,
		ram_total_size: machine.ramTotal,
		// An estimate goes by this process's own time, a sensor sees the whole machine.
		tracking_mode: cost.measured ? "machine" : "process",
		pue: 1,
		wattvox_measured: cost.measured,
		wattvox_coverage: cost.coverage,
		wattvox_plus_minus: kWh(cost.plusMinus),
	};
}

/** Joules of the processor or of the graphics cards; null where the source cannot tell them apart. */
function joulesOf(
	{ from, to }: Span,
	session: Session | undefined,
	which: "cpu" | "gpu",
	all: number | null,
): number | null {
	const source = session?.source;
	if (source?.domain === which) return all;
	if (all === null || !source?.parts || !to.parts) return null;
	const found = source.parts.flatMap((part, i) =>
		part.domain === which
			? [(to.parts?.[i] ?? 0) - (from.parts?.[i] ?? 0)]
			: [],
	);
	return found.length ? found.reduce((a, b) => a + b, 0) : null;
}

/** RFC 4180. */
function cell(value: unknown): string {
	if (value === null || value === undefined) return "";
	const text = String(value);
	return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
