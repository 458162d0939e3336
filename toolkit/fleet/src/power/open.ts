import { join } from "node:path";
import { DuckDb } from "./duckdb.ts";
import { Postgres } from "./postgres.ts";
import { SqlPowerStore } from "./sql-store.ts";
import type { PowerStore, Retention } from "./store.ts";

/** The database's file below the data folder. */
export const DATABASE_FILE = "power.duckdb";

/**
 * The power store that a name stands for; not started.
 * @param where `postgres://...`, or the data folder of one machine
 */
export function powerStore(
	where: string,
	retention: Partial<Retention> = {},
): PowerStore {
	const database = /^postgres(ql)?:\/\//.test(where)
		? new Postgres({ url: where })
		: new DuckDb({ path: join(where, DATABASE_FILE) });
	return new SqlPowerStore({ database, retention });
}
