import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";

const BIN = fileURLToPath(new URL("../bin/wattvox-agent.js", import.meta.url));

function agent(...args: string[]) {
	return new Promise<{ code: number; out: string; err: string }>((resolve) => {
		execFile(process.execPath, [BIN, ...args], (error, out, err) =>
			resolve({ code: error ? Number(error.code) : 0, out, err }),
		);
	});
}

test("the program says how it is used, and ends with the table's exit codes", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-main-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const pull = ["run", "--pull-engines"];
	const [help, none, unknown, missing, port, never, key, room, ...pulls] =
		await Promise.all([
			agent("--help"),
			agent(),
			agent("fly"),
			agent("run", "--broker", "mqtt://127.0.0.1:9"),
			agent("run", "--port", "70000"),
			agent("status", "--data", dir),
			agent(
				...["run", "--broker", "mqtt://127.0.0.1:9", "--fleet", "f"],
				...["--device", "d", "--data", dir, "--trust", join(dir, "none.pub")],
			),
			agent("run", "--engine-memory-mb", "64"),
			agent(...pull),
			agent(...pull, "--shim", "shim.so", "--builder-key", "builder.key"),
			agent("run", "--wait-engines", "10"),
			agent("run", "--wait-engines", "soon"),
		]);
	t.is(help?.code, 0);
	t.regex(help?.out ?? "", /wattvox-agent run --broker/);
	t.is(none?.code, 0);
	for (const bad of [unknown, missing, port, room]) {
		t.is(bad?.code, 2);
		t.regex(bad?.err ?? "", /E_USAGE/);
	}
	t.deepEqual(
		pulls.map((p) => p.code),
		[2, 2, 2, 2],
	);
	t.regex(pulls[0]?.err ?? "", /--pull-engines needs --shim/);
	t.regex(pulls[1]?.err ?? "", /--pull-engines needs --shim, and goes without/);
	t.regex(pulls[2]?.err ?? "", /--wait-engines needs --shim/);
	t.regex(
		pulls[3]?.err ?? "",
		/--wait-engines is a whole number in 0 to 10080/,
	);
	t.is(never?.code, 3);
	t.is(key?.code, 4);
	t.regex(key?.err ?? "", /E_KEY/);
});
