import { STAGED } from "./database.ts";
import { GRAIN_SECONDS, type Grain } from "./store.ts";

/** Cumulative counts. */
export const COUNTS = [
	"mj",
	"speech_mj",
	"utterances",
	"audio_ms",
	"compute_ms",
] as const;

export const GRAINS = Object.keys(GRAIN_SECONDS) as Grain[];

const facts = `run integer not null, bucket bigint not null, sequence bigint not null, ${COUNTS.map((c) => `${c} bigint`).join(", ")}`;

/** The staging table's columns: the same as a roll-up's, without a key. */
export const STAGING = facts;

/**
 * A counter is one run of cumulative counts: a device's boot and sensor. A run is the part of it
 * that one voice spoke. Times are whole seconds since 1970, UTC.
 */
export const SCHEMA: readonly string[] = [
	"create sequence if not exists power_counter_id",
	`create table if not exists power_counter (
	id integer primary key default nextval('power_counter_id'),
	fleet text not null, device text not null, boot text not null,
	sensor text not null, measured boolean not null, device_class text not null,
	unique (fleet, device, boot, sensor, measured))`,
	"create sequence if not exists power_run_id",
	`create table if not exists power_run (
	id integer primary key default nextval('power_run_id'),
	counter integer not null, voice text not null, seen boolean,
	unique (counter, voice))`,
	`create table if not exists power_total (
	run integer primary key, first_seen bigint not null, last_seen bigint not null,
	sequence bigint not null, ${COUNTS.map((c) => `${c} bigint`).join(", ")})`,
	...GRAINS.map(
		(grain) =>
			`create table if not exists power_${grain} (${facts}, primary key (run, bucket))`,
	),
];

const larger = ["sequence", ...COUNTS];
const maxima = larger.map((c) => `max(${c}) as ${c}`).join(", ");
const merge = larger
	.map((c) => `${c} = greatest(t.${c}, excluded.${c})`)
	.join(", ");

/** What folds the staging table into every roll-up: the larger of each count stays. */
export const FOLD: readonly string[] = [
	...GRAINS.map(
		(grain) => `insert into power_${grain} as t (${STAGED.join(", ")})
	select run, bucket - bucket % ${GRAIN_SECONDS[grain]}, ${maxima}
	from power_staging group by 1, 2 order by 1, 2
	on conflict (run, bucket) do update set ${merge}`,
	),
	`insert into power_total as t (run, first_seen, last_seen, ${larger.join(", ")})
	select run, min(bucket), max(bucket), ${maxima} from power_staging group by 1 order by 1
	on conflict (run) do update set first_seen = least(t.first_seen, excluded.first_seen),
	last_seen = greatest(t.last_seen, excluded.last_seen), ${merge}`,
];
