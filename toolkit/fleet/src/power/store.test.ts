import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import test, { type ExecutionContext } from "ava";
import { DuckDb } from "./duckdb.ts";
import { Postgres } from "./postgres.ts";
import { SqlPowerStore } from "./sql-store.ts";
import {
	point,
	STORE_CONTRACT,
	type StoreUnderTest,
} from "./store-contract.ts";
import {
	type Cluster,
	postgresMissing,
	startPostgres,
} from "./testing-postgres.ts";
import { UTTERANCE_CONTRACT } from "./utterance-contract.ts";

let cluster: Cluster | undefined;
test.before(async () => {
	if (!postgresMissing) cluster = await startPostgres();
});
test.after.always(() => cluster?.stop());

const duckdb: StoreUnderTest = {
	async fresh(t, options = {}) {
		const path = options.brief
			? ":memory:"
			: join(await temporaryDir(t), "power.duckdb");
		const store = new SqlPowerStore({
			database: new DuckDb({ path }),
			...options,
		});
		await store.start();
		t.teardown(() => store.stop());
		return store;
	},
};

const postgres: StoreUnderTest = {
	async fresh(t, options = {}) {
		const url = await ownSchema(t);
		const store = new SqlPowerStore({
			database: new Postgres({ url }),
			...options,
		});
		await store.start();
		t.teardown(() => store.stop());
		return store;
	},
};

/** A schema that no other test sees. */
async function ownSchema(t: ExecutionContext): Promise<string> {
	const url = cluster?.url ?? t.fail();
	const name = `t${randomBytes(6).toString("hex")}`;
	const admin = new Postgres({ url: String(url), connections: 1 });
	await admin.start();
	await admin.query(`create schema ${name}`);
	await admin.stop();
	return `${url}&options=${encodeURIComponent(`-c search_path=${name}`)}`;
}

for (const [name, check] of Object.entries({
	...STORE_CONTRACT,
	...UTTERANCE_CONTRACT,
})) {
	test(`DuckDB: ${name}`, (t) => {
		t.timeout(120_000);
		return check(t, duckdb);
	});
	if (postgresMissing)
		test.skip(`PostgreSQL: ${name} (skipped: ${postgresMissing})`, () =>
			undefined);
	else
		test(`PostgreSQL: ${name}`, (t) => {
			t.timeout(120_000);
			return check(t, postgres);
		});
}

test("DuckDB: a file that another process holds is E_BUSY, one that is none E_STORE", async (t) => {
	const dir = await temporaryDir(t);
	const path = join(dir, "power.duckdb");
	const script = `const { DuckDBInstance } = await import("@duckdb/node-api");
		const db = await DuckDBInstance.create(process.argv[1]); console.log("held"); setInterval(() => db, 1000);`;
	const other = spawn(
		process.execPath,
		["--input-type=module", "-e", script, path],
		{ cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] },
	);
	const gone = once(other, "exit");
	t.teardown(() => {
		other.kill("SIGKILL");
		return gone;
	});
	await once(other.stdout, "data");
	const store = new SqlPowerStore({ database: new DuckDb({ path }) });
	await t.throwsAsync(store.start(), { code: "E_BUSY" });
	const bad = join(dir, "bad.duckdb");
	await writeFile(
		bad,
		"this is no database, and long enough to be read as one".repeat(100),
	);
	await t.throwsAsync(
		new SqlPowerStore({ database: new DuckDb({ path: bad }) }).start(),
		{ code: "E_STORE" },
	);
});

const withPostgres = postgresMissing ? test.skip : test;
withPostgres("PostgreSQL: two writers at once lose nothing", async (t) => {
	const url = await ownSchema(t);
	const stores = [0, 1].map(
		() => new SqlPowerStore({ database: new Postgres({ url }) }),
	);
	for (const store of stores) {
		t.teardown(() => store.stop());
		await store.start();
	}
	const batch = (sequence: number) =>
		Array.from({ length: 40 }, (_, i) =>
			point({ device: `d${i}`, sequence, millijoules: sequence * 10 }),
		);
	await Promise.all(
		Array.from({ length: 20 }, (_, n) =>
			stores[n % 2]?.write(n % 3 === 0 ? batch(n).reverse() : batch(n)),
		),
	);
	const [all] = (await stores[0]?.usage())?.rows ?? [];
	t.is(all?.measured?.joules, (40 * 190) / 1000);
	t.is(all?.devices, 40);
});

withPostgres(
	"PostgreSQL: one that is not there is E_STORE, without the password",
	async (t) => {
		const database = new Postgres({
			url: "postgres://wattvox:hunter2@127.0.0.1:1/none",
		});
		const error = await t.throwsAsync(database.start(), { code: "E_STORE" });
		t.notRegex(String(error?.stack), /hunter2/);
	},
);
