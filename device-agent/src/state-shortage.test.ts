import { execFile } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { newKey, systemDisk, trustKeys, writeBundle } from "@wattvox/bundle";
import { ManualClock } from "@wattvox/core";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import test from "ava";
import { ByteBudget } from "./byte-budget.ts";
import { Failures } from "./engine/failures.ts";
import { Floors } from "./floors.ts";
import { DeviceState } from "./state.ts";

const run = promisify(execFile);

const open: number[] = [];

/** Opens files until the system gives no more. */
function exhaust(): void {
	for (;;)
		try {
			open.push(openSync("/dev/null", "r"));
		} catch {
			return;
		}
}

function release(): void {
	for (const fd of open.splice(0)) closeSync(fd);
}

test("without a file to spare nothing is taken for missing or damaged, and nothing is removed", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-state-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const key = newKey();
	const trust = trustKeys([key.publicKey]);
	const state = new DeviceState(dir);
	await state.prepare();
	const made = join(dir, "made");
	const { digest } = await writeBundle(
		made,
		tinyBundle.sources(tinyVoice()),
		tinyBundle.meta("anna"),
		key,
	);
	await state.store.put(made, trust);
	await state.store.checkout(digest, state.voiceDir(digest), trust);
	await state.setActive({ digest, revision: 1, previous: null });
	const engine = "e".repeat(64);
	const failures = new Failures(join(dir, "failures.json"));
	const why = { code: "E_ENGINE_DIFFERS", message: "off" } as const;
	await failures.add({ engine, voice: digest, ...why });
	const budget = new ByteBudget(dir, 1e9, new ManualClock());
	const damaged: string[] = [];
	await run("prlimit", ["--pid", String(process.pid), "--nofile=256:"]);
	try {
		for (const look of [
			() => state.active(),
			() => state.intact(digest),
			() => state.recallActive((d) => damaged.push(d)),
			() => state.rejected(),
			() => state.desired({ fleet: "f", device: "d" }, trust),
			() => new Floors(dir, trust).recall(),
			() => budget.reserve(1),
			() => failures.add({ engine, voice: engine, ...why }),
		]) {
			// each time: something that was still open may have closed
			exhaust();
			await t.throwsAsync(look, { message: /EMFILE/ }, String(look));
		}
	} finally {
		release();
	}
	// the last file but one that there is goes while the voice is looked at
	const { open } = systemDisk;
	t.teardown(() => Object.assign(systemDisk, { open }));
	systemDisk.open = async (path, ...how) => {
		if (path.endsWith("decoder.onnx"))
			throw Object.assign(new Error("EMFILE"), { code: "EMFILE" });
		return open(path, ...how);
	};
	await t.throwsAsync(state.intact(digest), { message: /EMFILE/ });
	systemDisk.open = open;
	t.deepEqual(damaged, []);
	t.true(existsSync(state.voiceDir(digest)));
	t.is((await state.recallActive(() => undefined))?.digest, digest);
	t.is((await failures.list()).length, 1);
});
