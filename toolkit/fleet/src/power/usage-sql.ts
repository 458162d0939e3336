import { checkId, WattvoxError } from "@wattvox/core";
import type { Row, Value } from "./database.ts";
import { COUNTS } from "./schema.ts";
import {
	type Dimension,
	GRAIN_SECONDS,
	type Grain,
	type Retention,
	type Share,
	type Usage,
	type UsageQuery,
} from "./store.ts";

const COLUMNS: Readonly<Record<Dimension, string>> = {
	fleet: "c.fleet",
	device: "c.device",
	voice: "r.voice",
	class: "c.device_class",
};

/** A question as SQL. */
export interface Asked {
	sql: string;
	values: Value[];
	/** What `since` was rounded to, milliseconds; null: everything. */
	since: number | null;
}

/**
 * The question as one statement. What a counter drew before the span is looked up where it costs
 * least: in the days before its first day, the hours before its first hour.
 *
 * Devices are counted apart from the sums: a sum for each device of a large fleet would cost more than
 * all the rest.
 * @throws WattvoxError E_USAGE
 */
export function usageSql(
	query: UsageQuery,
	retention: Retention,
	now: number,
): Asked {
	const { by = [], every, fleet } = query;
	const values: Value[] = [];
	if (fleet !== undefined) values.push(checkId(fleet, "fleet id"));
	if (query.since === undefined && (every || query.until !== undefined))
		throw new WattvoxError("E_USAGE", "a span needs its beginning");
	const span =
		query.since === undefined ? undefined : rounded(query, retention, now);
	const since = span ? `where at_bucket >= ${span.since}` : "";
	const keys = [...by.map((d) => `d_${d}`), ...(every ? ["bucket"] : [])];
	const columns = [
		...by.map((d) => `${COLUMNS[d]} as d_${d}, `),
		...(every
			? [`f.bucket - f.bucket % ${GRAIN_SECONDS[every]} as bucket, `]
			: []),
	];
	const head = keys.map((key) => `${key}, `).join("");
	const grouped = keys.length > 0 ? `group by ${keys.join(", ")}` : "";
	const whole = `union all
select ${keys.map(() => "null, ").join("")}${NAMES.map((name) => `sum(${name})`).join(", ")},
	(select count(*) from whole), (select count(*) from whole where otherwise), true
from lines having count(*) > 0`;
	return {
		since: span ? span.since * 1000 : null,
		values,
		sql: `with ${span ? spanFacts(span) : totalFacts},
steps as materialized (
	select ${columns.join("")}r.counter, f.bucket as at_bucket, f.mj as known, f.speech_mj as told, c.measured,
	${COUNTS.map((c) => `greatest(0, f.${c} - coalesce(max(f.${c}) over w, 0)) as ${c}`).join(",\n\t")}
	from facts f join power_run r on r.id = f.run join power_counter c on c.id = r.counter
	${fleet === undefined ? "" : "where c.fleet = $1"}
	window w as (partition by r.counter order by f.bucket, f.sequence, f.run
		rows between unbounded preceding and 1 preceding)
),
counters as materialized (
	select ${head}counter, bool_or(not measured or known is null) as otherwise
	from steps ${since} group by ${head}counter
),
devices as materialized (
	select ${head}c.fleet, c.device, bool_or(otherwise) as otherwise
	from counters s join power_counter c on c.id = s.counter
	group by ${head}c.fleet, c.device
),
whole as (select bool_or(otherwise) as otherwise from devices group by fleet, device),
counts as (
	select ${head}count(*) as devices, count(*) filter (where otherwise) as devices_otherwise
	from devices ${grouped}
),
lines as (
	select ${head}${SUMS.map(([name, sum]) => `${sum} as ${name}`).join(",\n\t")}
	from steps ${since} ${grouped || "having count(*) > 0"}
)
select ${head}${[...NAMES.map((name) => `max(${name}) as ${name}`), "max(devices) as devices", "max(devices_otherwise) as devices_otherwise"].join(", ")}, false as whole
from (
	select ${head}${NAMES.join(", ")}, cast(null as bigint) as devices, cast(null as bigint) as devices_otherwise from lines
	union all select ${head}${NAMES.map(() => "null, ").join("")}devices, devices_otherwise from counts where devices > 0
) as halves ${grouped || "having count(*) > 0"}
${query.total ? whole : ""}
order by ${[...keys, "whole"].join(", ")}`,
	};
}

/** Double precision holds whole millijoules exactly up to 2^53, which is 2.5 GWh. */
const sum = (what: string, where?: string) =>
	`cast(sum(${what})${where ? ` filter (where ${where})` : ""} as double precision)`;

/** What a line sums up. Unknown is null, never 0. */
const SUMS: readonly (readonly [name: string, sql: string])[] = [
	["utterances", sum("utterances")],
	["audio_ms", sum("audio_ms")],
	["compute_ms", sum("compute_ms")],
	...(["measured", "estimated"] as const).flatMap((kind) => {
		const known = `${kind === "measured" ? "" : "not "}measured and known is not null`;
		const told = `${known} and told is not null`;
		return [
			[`${kind}_mj`, sum("mj", known)],
			[`${kind}_speech_mj`, sum("speech_mj", told)],
			[`${kind}_audio_ms`, sum("audio_ms", told)],
		] as const;
	}),
];

const NAMES = SUMS.map(([name]) => name);

/** All time: the last counts of every run; a counter's voices in the order in which they spoke. */
const totalFacts = `facts as (select run, first_seen as bucket, sequence, ${COUNTS.join(", ")} from power_total)`;

interface Span {
	grain: Grain;
	/** Seconds, at the start of one. */
	since: number;
	until: number | undefined;
}

/** The span in whole minutes, hours or days: in the coarsest that fits, of which all is still kept. */
function rounded(query: UsageQuery, kept: Retention, now: number): Span {
	const since = (query.since ?? 0) / 1000;
	const until = query.until === undefined ? undefined : query.until / 1000;
	if (!Number.isFinite(since) || (until !== undefined && !(until > since)))
		throw new WattvoxError("E_USAGE", "the span is empty");
	const day = GRAIN_SECONDS.day;
	const today = Math.floor(now / 1000 / day);
	const grains: Grain[] = ["day", "hour", "minute"];
	const aligned = grains.find(
		(g) =>
			since % GRAIN_SECONDS[g] === 0 && (until ?? 0) % GRAIN_SECONDS[g] === 0,
	);
	let grain = aligned ?? "minute";
	const { every } = query;
	if (every && GRAIN_SECONDS[every] < GRAIN_SECONDS[grain]) grain = every;
	if (grain === "minute" && since < (today - kept.minutes) * day)
		grain = "hour";
	if (grain === "hour" && since < (today - kept.hours) * day) grain = "day";
	const size = GRAIN_SECONDS[grain];
	return {
		grain,
		since: Math.max(0, Math.floor(since / size) * size),
		until: until && Math.ceil(until / size) * size,
	};
}

function spanFacts({ grain, since, until }: Span): string {
	const day = since - (since % GRAIN_SECONDS.day);
	const hour = since - (since % GRAIN_SECONDS.hour);
	const counts = ["sequence", ...COUNTS];
	const all = (from: Grain, where: string) =>
		`select run, bucket, ${counts.join(", ")} from power_${from} where ${where}`;
	const before = (from: Grain, where: string) =>
		`select run, max(bucket) as bucket, ${counts.map((c) => `max(${c}) as ${c}`).join(", ")} from power_${from}
	where ${where} and run in (select id from active) group by run`;
	const end = until === undefined ? "" : ` and bucket < ${until}`;
	const parts = [all(grain, `bucket >= ${since}${end}`)];
	const start = grain === "day" ? since : day;
	if (grain === "hour" && day < since)
		parts.push(before("hour", `bucket >= ${day} and bucket < ${since}`));
	if (grain === "minute") {
		if (hour < since)
			parts.push(before("minute", `bucket >= ${hour} and bucket < ${since}`));
		if (day < hour)
			parts.push(before("hour", `bucket >= ${day} and bucket < ${hour}`));
	}
	parts.push(before("day", `bucket < ${start}`));
	return `active as (select id from power_run where counter in
		(select r.counter from power_total t join power_run r on r.id = t.run where t.last_seen >= ${since})),
facts as (${parts.join("\n\tunion all ")})`;
}

/** A row of the answer. */
export function usageRow(row: Row): Usage {
	const text = (name: string) => {
		const value = row[name];
		return typeof value === "string" && value !== "" ? value : null;
	};
	const devices = number(row.devices);
	return {
		fleet: text("d_fleet"),
		device: text("d_device"),
		voice: text("d_voice"),
		deviceClass: text("d_class"),
		at: (row.bucket ?? null) === null ? null : number(row.bucket) * 1000,
		utterances: number(row.utterances),
		audioSeconds: number(row.audio_ms) / 1000,
		computeSeconds: number(row.compute_ms) / 1000,
		measured: share(row, "measured"),
		estimated: share(row, "estimated"),
		devices,
		devicesMeasured: devices - number(row.devices_otherwise),
	};
}

function share(row: Row, kind: "measured" | "estimated"): Share | null {
	if (row[`${kind}_mj`] === null) return null;
	return {
		joules: number(row[`${kind}_mj`]) / 1000,
		speechJoules: number(row[`${kind}_speech_mj`]) / 1000,
		speechAudioSeconds: number(row[`${kind}_audio_ms`]) / 1000,
	};
}

/** Whole numbers come as bigint from one database and as text from the other. */
export function number(value: unknown): number {
	return Number(value ?? 0);
}
