import test from "ava";
import { suspects } from "./suspects.ts";

const open = (...digests: string[]) =>
	digests.map((digest) => ({ digest, engine: `of ${digest}` }));
const names = (...s: Parameters<typeof suspects>) =>
	suspects(...s).map((o) => o.digest);

test("the engine of a voice that was loading or speaking is suspected, before those that lay idle", (t) => {
	const all = open("a", "b", "c");
	t.deepEqual(names(all, new Set(), new Set(["b"])), ["b"]);
	t.deepEqual(names(all, new Set(["c"]), new Set()), ["c"]);
	t.deepEqual(names(all, new Set(["c"]), new Set(["a"])), ["a", "c"]);
	t.deepEqual(names(open("a", "a"), new Set(), new Set(["a"])), ["a"]);
});

test("where nobody spoke by one, any may have been it; a voice that loads without one stands for itself", (t) => {
	const all = open("a", "b");
	t.deepEqual(names(all, new Set(), new Set()), ["a", "b"]);
	t.deepEqual(names(all, new Set(), new Set(["plain"])), ["a", "b"]);
	t.deepEqual(names(all, new Set(["plain"]), new Set()), []);
	t.deepEqual(names([], new Set(), new Set()), []);
});
