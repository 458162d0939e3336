import { PassThrough } from "node:stream";
import test from "ava";
import { barProgress, row } from "./bar-progress.ts";

const payload = (over = {}) => ({
	label: "fine-tune",
	total: 100,
	done: 50,
	left: 10,
	facts: { loss: "0.41", energy: "60 J" },
	...over,
});

test("a row has label, bar, share, time left and facts", (t) => {
	t.is(
		row({ progress: 0.5 }, payload(), 8, 100),
		"fine-tune  ████░░░░ 50%  10 s left  loss 0.41  energy 60 J",
	);
});

test("a task of unknown length shows how much is done; one that ended shows its result", (t) => {
	t.is(
		row(
			{ progress: 0 },
			payload({ total: undefined, left: undefined, facts: {} }),
			8,
			100,
		),
		"fine-tune  50",
	);
	t.is(
		row({ progress: 1 }, payload({ end: "done in 3.0 s" }), 8, 100),
		"fine-tune: done in 3.0 s",
	);
});

test("no row is wider than the terminal", (t) => {
	for (let columns = 5; columns < 80; columns++)
		t.true(
			[...row({ progress: 0.5 }, payload(), 24, columns)].length < columns,
		);
});

test("bars draw on the stream, end with their result, and leave nothing running", async (t) => {
	const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80 });
	for (const name of ["cursorTo", "clearLine", "moveCursor", "clearScreenDown"])
		Object.assign(stream, { [name]: () => true });
	let text = "";
	stream.on("data", (chunk) => {
		text += chunk;
	});
	const progress = barProgress(stream as unknown as NodeJS.WriteStream);
	const a = progress.task("first", 10);
	const b = progress.task("second");
	a.update(5, { loss: "1" });
	b.update(3);
	a.finish("good");
	a.finish("twice");
	b.fail("bad");
	progress.note("after");
	await new Promise((resolve) => setImmediate(resolve));
	t.regex(text, /first: done in .*, good/);
	t.regex(text, /second: failed in .*, bad/);
	t.true(text.endsWith("after\n"));
	t.notRegex(text, /twice/);
});
