import { access } from "node:fs/promises";
import { join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { DuckDb } from "./duckdb.ts";
import { Postgres } from "./postgres.ts";
import { SqlPowerStore } from "./sql-store.ts";
import type { PowerStore, Retention } from "./store.ts";

/** The database's file below the data folder. */
export const DATABASE_FILE = "power.duckdb";

const POSTGRES = /^postgres(ql)?:\/\//;

/**
 * The power store that a name stands for; not started.
 * @param where `postgres://...`, or the data folder of one machine
 */
export function powerStore(
	where: string,
	retention: Partial<Retention> = {},
): PowerStore {
	const database = POSTGRES.test(where)
		? new Postgres({ url: where })
		: new DuckDb({ path: join(where, DATABASE_FILE) });
	return new SqlPowerStore({ database, retention });
}

/**
 * The same for who only asks: a question makes no database.
 * @throws WattvoxError E_FILE_MISSING
 */
export async function knownPowerStore(where: string): Promise<PowerStore> {
	const path = join(where, DATABASE_FILE);
	if (!POSTGRES.test(where))
		await access(path).catch((cause) => {
			throw new WattvoxError(
				"E_FILE_MISSING",
				`there is no power database in ${where}: --data is the folder that \`fleet serve\` has`,
				{ cause },
			);
		});
	return powerStore(where);
}
