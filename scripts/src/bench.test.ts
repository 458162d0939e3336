import { execFile } from "node:child_process";
import { promisify } from "node:util";
import test from "ava";
import { BENCHES, bench } from "./bench.ts";

test("every benchmark that is listed can be loaded and run", async (t) => {
	for (const [name, { load }] of Object.entries(BENCHES))
		t.is(typeof (await load()).run, "function", name);
});

test("an unknown benchmark is a usage error that lists those there are", async (t) => {
	const error = await t.throwsAsync(bench(["toString"]), {
		name: "WattvoxError",
		message: /no benchmark "toString"/,
	});
	for (const name of Object.keys(BENCHES)) t.true(error.message.includes(name));
});

test("the program lists itself, and ends with the usage code on bad options", async (t) => {
	const program = new URL("./bench.js", import.meta.url).pathname;
	const node = (...args: string[]) =>
		promisify(execFile)(process.execPath, [program, ...args]);
	t.regex((await node("--help")).stdout, /pull .*MQTT/);
	t.regex((await node("pull", "--help")).stdout, /--megabytes/);
	const error = await t.throwsAsync(node("pull", "--bogus"));
	t.like(error, { code: 2 });
	const few = await t.throwsAsync(node("pull", "--megabytes", "5"));
	t.like(few, { code: 2 });
});
