import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import type { Database, Row, Staged, Value } from "./database.ts";
import { STAGING } from "./schema.ts";

export interface DuckDbOptions {
	/** The file; ":memory:" keeps nothing. */
	path: string;
	/** Bytes that the database may take beside the file's cache. Default 128 MB. */
	memoryMegabytes?: number;
	/** Default 2. */
	threads?: number;
}

/**
 * DuckDB inside this process. Its file is held by one process at a time: others ask that one.
 *
 * Writing and reading have a connection each, so that a long question does not hold up reports.
 */
export class DuckDb implements Database {
	readonly #o: DuckDbOptions;
	#instance: DuckDBInstance | undefined;
	#reader: DuckDBConnection | undefined;
	#writer: DuckDBConnection | undefined;
	#writing: Promise<unknown> = Promise.resolve();

	constructor(options: DuckDbOptions) {
		this.#o = options;
	}

	async start(signal?: AbortSignal): Promise<void> {
		if (this.#instance) return;
		const { path, memoryMegabytes = 128, threads = 2 } = this.#o;
		if (path !== ":memory:") await mkdir(dirname(path), { recursive: true });
		const { DuckDBInstance } = await import("@duckdb/node-api");
		signal?.throwIfAborted();
		try {
			this.#instance = await DuckDBInstance.create(path, {
				memory_limit: `${memoryMegabytes}MB`,
				// else its allocator keeps 45 MB more of what a batch's statements gave back
				allocator_bulk_deallocation_flush_threshold: "1MB",
				threads: String(threads),
			});
			this.#reader = await this.#instance.connect();
			this.#writer = await this.#instance.connect();
			await this.#writer.run(`create temp table power_staging (${STAGING})`);
		} catch (thrown) {
			await this.stop();
			const { message } = asWattvoxError(thrown);
			throw /lock/i.test(message)
				? new WattvoxError("E_BUSY", `another process holds ${path}`, {
						cause: thrown,
					})
				: storeError(thrown);
		}
	}

	async stop(): Promise<void> {
		await this.#writing.catch(() => undefined);
		this.#reader?.closeSync();
		this.#writer?.closeSync();
		this.#instance?.closeSync();
		this.#reader = this.#writer = this.#instance = undefined;
	}

	async query(sql: string, values: readonly Value[] = []): Promise<Row[]> {
		const connection = this.#reader;
		if (!connection)
			throw new WattvoxError("E_BUG", "the database is not open");
		try {
			const result = await connection.runAndReadAll(sql, [...values]);
			return result.getRowObjects();
		} catch (thrown) {
			throw storeError(thrown);
		}
	}

	load(rows: readonly Staged[], statements: readonly string[]): Promise<void> {
		const turn = this.#writing.then(() => this.#load(rows, statements));
		this.#writing = turn.catch(() => undefined);
		return turn;
	}

	async #load(
		rows: readonly Staged[],
		statements: readonly string[],
	): Promise<void> {
		const connection = this.#writer;
		if (!connection)
			throw new WattvoxError("E_BUG", "the database is not open");
		try {
			await connection.run("begin");
			const appender = await connection.createAppender("power_staging");
			for (const [run = 0, ...counts] of rows) {
				appender.appendInteger(run ?? 0);
				for (const count of counts)
					if (count === null) appender.appendNull();
					else appender.appendBigInt(BigInt(count));
				appender.endRow();
			}
			appender.closeSync();
			for (const sql of statements) await connection.run(sql);
			await connection.run("delete from power_staging");
			await connection.run("commit");
		} catch (thrown) {
			await connection.run("rollback").catch(() => undefined);
			throw storeError(thrown);
		}
	}
}

function storeError(cause: unknown): WattvoxError {
	const { message } = asWattvoxError(cause);
	return new WattvoxError("E_STORE", `DuckDB: ${message}`, { cause });
}
