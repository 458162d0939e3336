import { checkId, WattvoxError } from "@wattvox/core";
import type { Database, Row, Value } from "./database.ts";
import { number } from "./usage-sql.ts";
import type {
	UtteranceAnswer,
	UtteranceBatch,
	UtterancePoint,
	UtteranceQuery,
} from "./utterance.ts";

const COLUMNS = [
	...["fleet", "device", "boot", "n", "ended", "device_class", "voice"],
	...["whole", "audio_ms", "compute_ms", "first_sound_ms", "mj"],
	...["measured", "sensor"],
];
const LOST = ["utterances", "readings", "boots", "damaged"] as const;

/** Times are milliseconds since 1970, UTC. */
export const UTTERANCE_SCHEMA: readonly string[] = [
	`create table if not exists power_utterance (
	fleet text not null, device text not null, boot text not null, n bigint not null,
	ended bigint not null, device_class text, voice text, whole boolean not null,
	audio_ms bigint not null, compute_ms bigint not null, first_sound_ms bigint, mj bigint,
	measured boolean not null, sensor text not null,
	primary key (fleet, device, boot, n))`,
	`create table if not exists power_lost (
	fleet text not null, device text not null, log text not null,
	${LOST.map((c) => `${c} bigint not null`).join(", ")},
	primary key (fleet, device, log))`,
];

/** Rows per statement: 14 values each, and PostgreSQL takes 65,535. */
const ROWS_AT_ONCE = 250;
const MOST = 10_000;

/** Single utterances in plain SQL. Writing is idempotent and in any order gives the same. */
export class UtteranceTables {
	readonly #db: Database;

	constructor(database: Database) {
		this.#db = database;
	}

	/** @throws WattvoxError E_STORE; what was written before it failed may be written again */
	async write({ utterances, losses }: UtteranceBatch): Promise<void> {
		// in one order, so that two writers never wait for each other in a circle
		const rows = utterances.map(rowOf).sort(byKey);
		for (let at = 0; at < rows.length; at += ROWS_AT_ONCE)
			await this.#insert(
				`power_utterance (${COLUMNS.join(", ")})`,
				rows.slice(at, at + ROWS_AT_ONCE),
				"on conflict do nothing",
			);
		const most = LOST.map((c) => `${c} = greatest(t.${c}, excluded.${c})`);
		for (const row of losses
			.map((l) => [l.fleet, l.device, l.log, ...LOST.map((c) => l.lost[c])])
			.sort(byKey))
			await this.#insert(
				"power_lost as t",
				[row],
				`on conflict (fleet, device, log) do update set ${most.join(", ")}`,
			);
	}

	/** @throws WattvoxError E_USAGE, E_STORE; the signal's reason */
	async ask(query: UtteranceQuery): Promise<UtteranceAnswer> {
		const { fleet, device, since, limit = 100, signal } = query;
		if (!(Number.isInteger(limit) && limit > 0 && limit <= MOST))
			throw new WattvoxError("E_USAGE", `a limit is from 1 to ${MOST}`);
		signal?.throwIfAborted();
		const values: Value[] = [];
		const where: string[] = [];
		for (const [name, id] of Object.entries({ fleet, device }))
			if (id !== undefined)
				where.push(`${name} = $${values.push(checkId(id, `${name} id`))}`);
		const of = (more: readonly string[] = []) => {
			const all = [...where, ...more];
			return all.length > 0 ? `where ${all.join(" and ")}` : "";
		};
		const lost = await this.#db.query(
			`select ${LOST.map((c) => `cast(sum(${c}) as bigint) as ${c}`).join(", ")} from power_lost ${of()}`,
			values,
		);
		const from = since === undefined ? [] : [`ended >= ${Math.floor(since)}`];
		const rows = await this.#db.query(
			`select ${COLUMNS.join(", ")} from power_utterance ${of(from)}
			order by ended desc, fleet, device, boot, n desc limit ${limit}`,
			values,
		);
		signal?.throwIfAborted();
		return {
			rows: rows.map(pointOf),
			lost: {
				utterances: number(lost[0]?.utterances),
				readings: number(lost[0]?.readings),
				boots: number(lost[0]?.boots),
				damaged: number(lost[0]?.damaged),
			},
		};
	}

	/** Forgets what is older. @param before seconds since 1970 */
	async retain(before: number): Promise<void> {
		await this.#db.query(
			`delete from power_utterance where ended < ${before * 1000}`,
		);
	}

	async #insert(into: string, rows: Value[][], tail: string): Promise<void> {
		let n = 0;
		const tuples = rows.map(
			(row) => `(${row.map(() => `$${++n}`).join(", ")})`,
		);
		await this.#db.query(
			`insert into ${into} values ${tuples.join(", ")} ${tail}`,
			rows.flat(),
		);
	}
}

function rowOf(p: UtterancePoint): Value[] {
	const ms = (seconds: number) => Math.round(seconds * 1000);
	return [
		...[p.fleet, p.device, p.boot, p.n, p.at, p.deviceClass, p.voice],
		...[p.whole, ms(p.audioSeconds), ms(p.computeSeconds)],
		p.firstSoundMs === null ? null : Math.round(p.firstSoundMs),
		...[p.millijoules, p.measured, p.sensor],
	];
}

function pointOf(row: Row): UtterancePoint {
	const maybe = (value: unknown) =>
		value === null || value === undefined ? null : number(value);
	const text = (value: unknown) => (value === null ? null : String(value));
	return {
		...{ fleet: String(row.fleet), device: String(row.device) },
		...{ boot: String(row.boot), n: number(row.n), at: number(row.ended) },
		...{ deviceClass: text(row.device_class), voice: text(row.voice) },
		whole: row.whole === true,
		audioSeconds: number(row.audio_ms) / 1000,
		computeSeconds: number(row.compute_ms) / 1000,
		firstSoundMs: maybe(row.first_sound_ms),
		millijoules: maybe(row.mj),
		...{ measured: row.measured === true, sensor: String(row.sensor) },
	};
}

function byKey(a: readonly Value[], b: readonly Value[]): number {
	const key = (row: readonly Value[]) => JSON.stringify(row.slice(0, 4));
	return key(a) < key(b) ? -1 : 1;
}
