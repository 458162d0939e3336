import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ManualClock } from "@wattvox/core";
import test from "ava";
import { ByteBudget } from "./byte-budget.ts";

const HOUR = 3600_000;
const BLOCK = 66_048;

test("a day's bytes are counted across restarts and crashes, and end at midnight UTC", async (t) => {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const clock = new ManualClock(Date.UTC(2026, 0, 31, 12));
	const restart = () => new ByteBudget(dir, 10 * BLOCK, clock);
	const first = restart();
	const reserved = await first.reserve(4 * BLOCK);
	t.is(reserved, 4 * BLOCK);
	await first.settle(reserved, BLOCK);
	t.is(await first.today(), BLOCK);
	// killed between asking and settling: what was reserved counts
	await first.reserve(4 * BLOCK);
	const second = restart();
	t.is(await second.today(), 5 * BLOCK);
	t.is(await second.reserve(100 * BLOCK), 5 * BLOCK, "what is left");
	const error = await t.throwsAsync(second.reserve(1), { code: "E_BUDGET" });
	t.like(error, { retryAfterMs: 12 * HOUR });
	await clock.advance(11 * HOUR);
	await t.throwsAsync(restart().reserve(1), { code: "E_BUDGET" });
	await clock.advance(HOUR);
	t.is(await restart().reserve(3 * BLOCK), 3 * BLOCK);
	// a clock set back does not bring yesterday's bytes back
	const back = new ByteBudget(
		dir,
		3 * BLOCK,
		new ManualClock(Date.UTC(2026, 0, 1)),
	);
	await t.throwsAsync(back.reserve(1), { code: "E_BUDGET" });
});
