import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const MAIN = fileURLToPath(new URL("./testing-heap-main.js", import.meta.url));

test("garbage beside much that lives is bounded in bytes", async (t) => {
	t.timeout(180_000);
	const { stdout } = await promisify(execFile)(process.execPath, [
		MAIN,
		"32e6",
	]);
	const { most, collected, kept } = JSON.parse(stdout);
	t.log(`${(most / 1e6).toFixed(0)} MB, ${collected} collections`);
	// 30 of it live, and V8 has twice 16 more for what is young; without a bound it is 425
	t.true(most < 200e6);
	t.true(kept > 100);
});
