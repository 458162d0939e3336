import test from "ava";
import { speakerSplit } from "./speaker-split.ts";

test("picks the speakers of a split", (t) => {
	const json = JSON.stringify([
		{ id: "a", split: "train" },
		{ id: "b", split: "heldout-speaker" },
	]);
	t.deepEqual([...speakerSplit(json, "heldout-speaker")], ["b"]);
	t.is(speakerSplit(json, "none").size, 0);
});

test("refuses what is not a list of speakers", (t) => {
	for (const bad of ["{}", "[1]", '[{"id":"a"}]', "not json"])
		t.throws(() => speakerSplit(bad, "train"), { code: "E_FILE_FORMAT" });
});
