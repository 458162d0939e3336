import test from "ava";
import { parsePsdur } from "./flite.ts";

test("-psdur's phone ends are read", (t) => {
	t.deepEqual(parsePsdur("pau:0.184 dh:0.236 ax:0.300 pau:1 \n"), [
		["pau", 0.184],
		["dh", 0.236],
		["ax", 0.3],
		["pau", 1],
	]);
});

test("anything else is refused", (t) => {
	for (const bad of ["", "pau", "pau:x", "pau:0.2 ax:0.1", "error: no voice"]) {
		t.throws(() => parsePsdur(bad), { code: "E_FILE_FORMAT" }, bad);
	}
});
