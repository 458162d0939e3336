import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import { measurePull } from "./pull.ts";

test("both ways bring the same file, and each has its rate", async (t) => {
	const notes: string[] = [];
	const r = await measurePull(
		{ bytes: 1e6, runs: 2, dir: await temporaryDir(t) },
		(line) => notes.push(line),
		new AbortController().signal,
	);
	t.is(notes.length, 3);
	for (const seconds of Object.values(r.seconds)) {
		t.is(seconds.length, 2);
		t.true(seconds.every((s) => s > 0));
	}
	t.is(r.ofHttp, r.megabytesPerSecond.mqtt / r.megabytesPerSecond.http);
	t.is(r.ofHashed, r.megabytesPerSecond.mqtt / r.megabytesPerSecond.hashed);
	// A second voice on the same base brings its adapter and its description only.
	t.true(r.newVoiceOfBundle > 0 && r.newVoiceOfBundle < 0.05);
	t.true(r.resume.kept > 0);
	t.true(r.resume.sentAgain <= 16 * 65_536, "at most one window");
});

test("a measurement that is called off ends at once", async (t) => {
	const stop = new AbortController();
	const error = await t.throwsAsync(
		measurePull(
			{ bytes: 1e6, runs: 1000, dir: await temporaryDir(t) },
			(line) => line.startsWith("run") && stop.abort(new Error("enough")),
			stop.signal,
		),
	);
	t.regex(error.message, /enough|aborted/);
});
