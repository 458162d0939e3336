import { asWattvoxError, redactText, WattvoxError } from "@wattvox/core";
import type { Pool } from "pg";
import {
	type Database,
	type Row,
	STAGED,
	type Staged,
	type Value,
} from "./database.ts";
import { STAGING } from "./schema.ts";

export interface PostgresOptions {
	/** `postgres://user:password@host/database`; what it leaves out comes from PGHOST and its like. */
	url: string;
	/** Default 4. */
	connections?: number;
}

/** What PostgreSQL says when two writers met: the same batch may be written again. */
const AGAIN = new Set<unknown>(["40001", "40P01"]);
const TRIES = 5;

/** PostgreSQL: several collectors may write to it, and many may ask. */
export class Postgres implements Database {
	readonly #o: PostgresOptions;
	#pool: Pool | undefined;

	constructor(options: PostgresOptions) {
		this.#o = options;
	}

	async start(signal?: AbortSignal): Promise<void> {
		if (this.#pool) return;
		const { default: pg } = await import("pg");
		signal?.throwIfAborted();
		const pool = new pg.Pool({
			connectionString: this.#o.url,
			max: this.#o.connections ?? 4,
			connectionTimeoutMillis: 10_000,
			application_name: "wattvox",
		});
		// an idle connection that breaks is opened again by the next question
		pool.on("error", () => undefined);
		try {
			await pool.query("select 1");
		} catch (thrown) {
			await pool.end();
			throw storeError(thrown);
		}
		this.#pool = pool;
	}

	async stop(): Promise<void> {
		const pool = this.#pool;
		this.#pool = undefined;
		await pool?.end();
	}

	async query(sql: string, values: readonly Value[] = []): Promise<Row[]> {
		try {
			return (await this.#open().query(sql, [...values])).rows;
		} catch (thrown) {
			throw storeError(thrown);
		}
	}

	async load(
		rows: readonly Staged[],
		statements: readonly string[],
	): Promise<void> {
		for (let attempt = 1; ; attempt++)
			try {
				return await this.#load(rows, statements);
			} catch (thrown) {
				const { code } = thrown as { code?: unknown };
				if (attempt === TRIES || !AGAIN.has(code)) throw storeError(thrown);
			}
	}

	async #load(
		rows: readonly Staged[],
		statements: readonly string[],
	): Promise<void> {
		const client = await this.#open().connect();
		let broken: Error | undefined;
		try {
			await client.query("begin");
			await client.query(
				`create temp table if not exists power_staging (${STAGING}) on commit delete rows`,
			);
			const arrays = STAGED.map((_, i) => rows.map((row) => row[i] ?? null));
			await client.query(
				`insert into power_staging select * from unnest(${STAGED.map((_, i) => `$${i + 1}::bigint[]`).join(", ")})`,
				arrays,
			);
			for (const sql of statements) await client.query(sql);
			await client.query("commit");
		} catch (thrown) {
			await client.query("rollback").catch((error: Error) => {
				broken = error;
			});
			throw thrown;
		} finally {
			client.release(broken);
		}
	}

	#open(): Pool {
		if (!this.#pool)
			throw new WattvoxError("E_BUG", "the database is not open");
		return this.#pool;
	}
}

function storeError(cause: unknown): WattvoxError {
	if (cause instanceof WattvoxError) return cause;
	const { message } = asWattvoxError(cause);
	return new WattvoxError("E_STORE", `PostgreSQL: ${redactText(message)}`, {
		cause,
	});
}
