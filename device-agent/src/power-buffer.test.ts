import { mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PowerMessage } from "@wattvox/link";
import test, { type ExecutionContext } from "ava";
import { PowerBuffer } from "./power-buffer.ts";

function message(boot: string, sequence: number): PowerMessage {
	return {
		v: 1,
		device: "d1",
		boot,
		sequence,
		millijoules: sequence * 1000,
		measured: true,
		sensor: "rapl",
		utterances: sequence,
		audioSeconds: sequence,
		computeSeconds: sequence,
		voice: null,
		at: "2026-01-01T00:00:00Z",
	};
}

async function folder(t: ExecutionContext) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}

test("the last word of each boot waits across restarts until it is acknowledged", async (t) => {
	const dir = await folder(t);
	const first = new PowerBuffer(dir);
	t.deepEqual(await first.waiting(), []);
	await first.keep(message("a", 1));
	await first.keep(message("a", 2));
	const second = new PowerBuffer(dir);
	await second.keep(message("b", 0));
	t.deepEqual(
		(await second.waiting()).map((m) => [m.boot, m.sequence]),
		[
			["a", 2],
			["b", 0],
		],
	);
	// an older one that is offered late changes nothing
	await second.keep(message("a", 1));
	t.is((await second.waiting())[0]?.sequence, 2);
	// an acknowledgement of an older one leaves the newer
	await second.sent(message("a", 1));
	t.is((await second.waiting()).length, 2);
	await second.sent(message("a", 2));
	await second.sent(message("b", 5));
	t.deepEqual(await second.waiting(), []);
	t.is(second.lost, 0);
});

test("what waits is bounded, the oldest goes first, and the loss is counted", async (t) => {
	const dir = await folder(t);
	const buffer = new PowerBuffer(dir);
	for (let n = 0; n < 70; n++) {
		await buffer.keep(message(`boot${n}`, n));
		const at = new Date(1e12 + n * 1000);
		await utimes(join(dir, "power", `boot${n}.json`), at, at);
	}
	const waiting = await buffer.waiting();
	t.is(waiting.length, 64);
	t.is(waiting[0]?.boot, "boot6");
	t.is(buffer.lost, 6);
	await writeFile(join(dir, "power", "boot69.json"), "{");
	t.is((await buffer.waiting()).length, 63);
	t.is(buffer.lost, 7);
});
