import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import { measureUpdates } from "./update.ts";

test("an update is timed from publishing to its first sound, and every request is answered", async (t) => {
	t.timeout(300_000);
	const notes: string[] = [];
	const r = await measureUpdates(
		{ voice: "tiny", runs: 2, dir: await temporaryDir(t) },
		(line) => notes.push(line),
		new AbortController().signal,
	);
	t.is(notes.length, 3);
	t.is(r.seconds.length, 2);
	t.true(r.seconds.every((s) => s > 0));
	t.is(r.dropped, 0);
	t.true(r.requests >= 4, `${r.requests} requests`);
	t.is(r.speakerRestarts, 0);
});
