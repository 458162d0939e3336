import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { cli } from "../testing.ts";

test("keys new writes a pair once, the private half for its owner alone", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-keys-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const made = await cli(["keys", "new", "builder", "--out", dir, "--json"]);
	t.is(made.code, 0);
	const { id } = made.json as { id: string };
	t.regex(id, /^[0-9a-f]{64}$/);
	const path = join(dir, "builder.key");
	t.is((await stat(path)).mode & 0o077, 0);
	const before = await readFile(path);
	const again = await cli(["keys", "new", "builder", "--out", dir]);
	t.is(again.code, 4);
	t.regex(again.err, /^error E_KEY: /);
	t.deepEqual(await readFile(path), before);
	t.is((await cli(["keys", "new", "a b", "--out", dir])).code, 2);
	const beside = await cli(["keys", "new", join(dir, "deep/fleet"), "--json"]);
	t.like(beside.json, { public: join(dir, "deep/fleet.pub") });
});
