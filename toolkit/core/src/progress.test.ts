import test from "ava";
import { ManualClock } from "./clock.ts";
import {
	formatJoules,
	formatSeconds,
	pace,
	plainProgress,
	silentProgress,
} from "./progress.ts";

test("plain progress writes a line at the start, every few seconds, and at the end", async (t) => {
	const clock = new ManualClock();
	const lines: string[] = [];
	const progress = plainProgress((line) => lines.push(line), { clock });
	const task = progress.task("fine-tune", 100);
	task.update(1);
	await clock.advance(5000);
	task.update(26, { loss: "0.41", energy: "60 J" });
	task.update(27);
	await clock.advance(20_000);
	task.finish("loss 0.30");
	task.finish("again");
	task.update(100);
	progress.note("written to out/");
	t.deepEqual(lines, [
		"fine-tune ...",
		"fine-tune: 26/100, 15 s left, loss 0.41, energy 60 J",
		"fine-tune: done in 25 s, loss 0.30",
		"written to out/",
	]);
});

test("a task of unknown length promises no time left, and a failure says so", async (t) => {
	const clock = new ManualClock();
	const lines: string[] = [];
	const task = plainProgress((line) => lines.push(line), { clock }).task(
		"pull",
	);
	await clock.advance(6000);
	task.update(12);
	task.fail("broker gone");
	task.finish();
	t.deepEqual(lines, [
		"pull ...",
		"pull: 12",
		"pull: failed in 6.0 s, broker gone",
	]);
});

test("silent progress takes everything", (t) => {
	const task = silentProgress.task("x", 3);
	task.update(1, { a: "b" });
	task.finish();
	task.fail();
	silentProgress.note("y");
	t.pass();
});

test("time left is told from the pace since the first update", async (t) => {
	const clock = new ManualClock();
	const left = pace(100, clock);
	// a slow start, and 40 done by an earlier run
	await clock.advance(60_000);
	t.is(left(40), undefined);
	await clock.advance(10_000);
	t.is(left(60), 20);
	await clock.advance(1000);
	t.is(left(101), 0);
	t.is(pace(undefined, clock)(5), undefined);
});

test("seconds and joules are worded for people; unknown is never 0", (t) => {
	t.deepEqual(
		[0.04, 9.94, 9.96, 59.6, 185, 3600, 7800, Number.NaN].map(formatSeconds),
		[
			"0.0 s",
			"9.9 s",
			"10 s",
			"1 min 00 s",
			"3 min 05 s",
			"1 h 00 min",
			"2 h 10 min",
			"unknown",
		],
	);
	t.deepEqual(
		[null, 0, 0.4242, 312, 1834, 44_280, Number.NaN].map(formatJoules),
		["unknown", "0 J", "0.424 J", "312 J", "1.83 kJ", "12.3 Wh", "unknown"],
	);
});
