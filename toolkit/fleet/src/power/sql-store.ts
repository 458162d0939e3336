import { WattvoxError } from "@wattvox/core";
import type { Database, Row, Staged, Value } from "./database.ts";
import type { PowerPoint } from "./point.ts";
import { FOLD, SCHEMA } from "./schema.ts";
import {
	type DeviceSeen,
	GRAIN_SECONDS,
	type PowerStore,
	RETENTION,
	type Retention,
	type UsageAnswer,
	type UsageQuery,
} from "./store.ts";
import { number, usageRow, usageSql } from "./usage-sql.ts";
import type {
	UtteranceAnswer,
	UtteranceBatch,
	UtteranceQuery,
} from "./utterance.ts";
import { UTTERANCE_SCHEMA, UtteranceTables } from "./utterance-sql.ts";

export interface SqlPowerStoreOptions {
	database: Database;
	retention?: Partial<Retention>;
	/** Now, milliseconds: which roll-ups are still whole. Default: the system's clock. */
	now?: () => number;
}

/** Rows per statement where values travel as parameters; PostgreSQL takes 65,535 of them. */
const ROWS_AT_ONCE = 500;
/** Runs whose ids are remembered: 20 MB or so. */
const RUNS_KEPT = 50_000;

/** The power store in plain SQL. */
export class SqlPowerStore implements PowerStore {
	readonly #db: Database;
	readonly #retention: Retention;
	readonly #now: () => number;
	readonly #utterances: UtteranceTables;
	/** Ids by key, the longest unused first. */
	readonly #runs = new Map<string, number>();
	#started = false;

	constructor(options: SqlPowerStoreOptions) {
		this.#db = options.database;
		this.#utterances = new UtteranceTables(options.database);
		this.#retention = { ...RETENTION, ...options.retention };
		this.#now = options.now ?? Date.now;
	}

	async start(signal?: AbortSignal): Promise<void> {
		if (this.#started) return;
		await this.#db.start(signal);
		for (const sql of [...SCHEMA, ...UTTERANCE_SCHEMA]) await this.#create(sql);
		this.#started = true;
	}

	async stop(): Promise<void> {
		this.#started = false;
		await this.#db.stop();
	}

	async write(points: readonly PowerPoint[]): Promise<void> {
		if (points.length === 0) return;
		await this.#remember(points);
		const rows = new Map<string, number[] | Staged>();
		for (const p of points) {
			const run = this.#runs.get(runKey(p)) ?? 0;
			const minute = Math.floor(p.at / 60_000) * 60;
			const key = `${run} ${minute}`;
			const counts = [
				p.sequence,
				p.millijoules,
				p.speechMillijoules,
				p.utterances,
				p.audioMs,
				p.computeMs,
			];
			const known = rows.get(key)?.slice(2);
			rows.set(key, [
				run,
				minute,
				...counts.map((count, i) => larger(count, known?.[i] ?? null)),
			]);
		}
		await this.#db.load([...rows.values()], FOLD);
	}

	async usage(query: UsageQuery = {}): Promise<UsageAnswer> {
		query.signal?.throwIfAborted();
		const asked = usageSql(query, this.#retention, this.#now());
		const rows = await this.#db.query(asked.sql, asked.values);
		query.signal?.throwIfAborted();
		const whole = rows.find((row) => row.whole === true);
		return {
			since: asked.since,
			rows: rows.filter((row) => row !== whole).map(usageRow),
			total: whole ? usageRow(whole) : null,
		};
	}

	async devices(fleet?: string): Promise<DeviceSeen[]> {
		const rows = await this.#db.query(
			`select c.fleet, c.device, c.boot, c.sensor, c.device_class, r.voice,
			t.first_seen, t.last_seen, t.sequence
			from power_total t join power_run r on r.id = t.run join power_counter c on c.id = r.counter
			${fleet === undefined ? "" : "where c.fleet = $1"}`,
			fleet === undefined ? [] : [fleet],
		);
		return seen(rows);
	}

	writeUtterances(batch: UtteranceBatch): Promise<void> {
		return this.#utterances.write(batch);
	}

	utterances(query: UtteranceQuery = {}): Promise<UtteranceAnswer> {
		return this.#utterances.ask(query);
	}

	async retain(now: number): Promise<void> {
		const { minutes, hours, days, utterances } = this.#retention;
		await this.#utterances.retain(cutoff(now, utterances));
		for (const [grain, kept] of Object.entries({
			minute: minutes,
			hour: hours,
			day: days,
		})) {
			const before = cutoff(now, kept);
			// of the days a run's newest stays: what the next one is subtracted from
			const but =
				grain === "day"
					? ` and exists (select 1 from power_day e where e.run = power_day.run
						and e.bucket > power_day.bucket and e.bucket < ${before})`
					: "";
			await this.#db.query(
				`delete from power_${grain} where bucket < ${before}${but}`,
			);
		}
	}

	/** Sees to it that every point's run has an id. */
	async #remember(points: readonly PowerPoint[]): Promise<void> {
		const fresh = new Map<string, PowerPoint>();
		for (const point of points) {
			const key = runKey(point);
			const id = this.#runs.get(key);
			if (id === undefined) fresh.set(key, point);
			else {
				this.#runs.delete(key);
				this.#runs.set(key, id);
			}
		}
		const all = [...fresh.entries()].sort(([a], [b]) => (a < b ? -1 : 1));
		// what this very batch needs stays, however much that is
		const room = Math.max(RUNS_KEPT, this.#runs.size + all.length - RUNS_KEPT);
		for (let at = 0; at < all.length; at += ROWS_AT_ONCE)
			await this.#name(all.slice(at, at + ROWS_AT_ONCE));
		for (const key of this.#runs.keys()) {
			if (this.#runs.size <= Math.max(room, points.length)) break;
			this.#runs.delete(key);
		}
	}

	async #name(fresh: [string, PowerPoint][]): Promise<void> {
		const counters = new Map(fresh.map(([, p]) => [counterKey(p), p]));
		const ids = new Map<string, number>();
		const named = await this.#upsert(
			"power_counter (fleet, device, boot, sensor, measured, device_class)",
			[...counters.values()].map((p) => [
				...[p.fleet, p.device, p.boot, p.sensor, p.measured],
				p.deviceClass ?? "",
			]),
			`on conflict (fleet, device, boot, sensor, measured)
			do update set device_class = excluded.device_class
			returning id, fleet, device, boot, sensor, measured`,
		);
		for (const row of named)
			ids.set(counterKey(row as never as PowerPoint), number(row.id));
		const counterOf = (p: PowerPoint) => ids.get(counterKey(p)) ?? 0;
		const runs = await this.#upsert(
			"power_run (counter, voice)",
			fresh.map(([, p]) => [counterOf(p), p.voice ?? ""]),
			"on conflict (counter, voice) do update set seen = true returning id, counter, voice",
		);
		const byName = new Map(
			runs.map((r) => [`${number(r.counter)} ${r.voice}`, number(r.id)]),
		);
		for (const [key, p] of fresh) {
			const id = byName.get(`${counterOf(p)} ${p.voice ?? ""}`);
			if (id === undefined)
				throw new WattvoxError("E_BUG", "a run has no number");
			this.#runs.set(key, id);
		}
	}

	#upsert(into: string, rows: Value[][], tail: string): Promise<Row[]> {
		let n = 0;
		const tuples = rows.map(
			(row) => `(${row.map(() => `$${++n}`).join(", ")})`,
		);
		return this.#db.query(
			`insert into ${into} values ${tuples.join(", ")} ${tail}`,
			rows.flat(),
		);
	}

	/** Two servers that start at once may both try: then the second finds it there. */
	async #create(sql: string): Promise<void> {
		try {
			await this.#db.query(sql);
		} catch {
			await this.#db.query(sql);
		}
	}
}

/** The first second that is kept, at the start of a day. */
export function cutoff(now: number, keptDays: number): number {
	const day = Math.floor(now / 86_400_000) - keptDays;
	return Math.max(0, day) * GRAIN_SECONDS.day;
}

function counterKey(
	p: Pick<PowerPoint, "fleet" | "device" | "boot" | "sensor" | "measured">,
): string {
	return JSON.stringify([p.fleet, p.device, p.boot, p.sensor, p.measured]);
}

function runKey(p: PowerPoint): string {
	return `${counterKey(p)} ${p.voice ?? ""} ${p.deviceClass ?? ""}`;
}

function larger(a: number | null, b: number | null): number | null {
	return a === null ? b : b === null ? a : Math.max(a, b);
}

function seen(rows: readonly Row[]): DeviceSeen[] {
	const devices = new Map<
		string,
		DeviceSeen & { names: Set<string>; boot: Set<string>; newest: number[] }
	>();
	for (const row of rows) {
		const [fleet, device] = [String(row.fleet), String(row.device)];
		const key = `${device} ${fleet}`;
		const firstAt = number(row.first_seen) * 1000;
		const lastAt = number(row.last_seen) * 1000;
		let d = devices.get(key);
		if (!d) {
			d = {
				...{ fleet, device, voice: null, deviceClass: null, sensors: [] },
				...{ firstAt, lastAt, boots: 0 },
				names: new Set(),
				boot: new Set(),
				newest: [],
			};
			devices.set(key, d);
		}
		d.names.add(String(row.sensor));
		d.boot.add(String(row.boot));
		d.firstAt = Math.min(d.firstAt, firstAt);
		d.lastAt = Math.max(d.lastAt, lastAt);
		const rank = [lastAt, number(row.sequence)];
		if (d.newest.length > 0 && !after(rank, d.newest)) continue;
		d.newest = rank;
		d.voice = String(row.voice) || null;
		d.deviceClass = String(row.device_class) || null;
	}
	return [...devices.entries()]
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([, { names, boot, newest: _, ...d }]) => ({
			...d,
			sensors: [...names].sort(),
			boots: boot.size,
		}));
}

function after(a: readonly number[], b: readonly number[]): boolean {
	const at = a.findIndex((n, i) => n !== b[i]);
	return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0);
}
