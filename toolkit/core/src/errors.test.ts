import test from "ava";
import { asWattvoxError, ERRORS, EXIT, WattvoxError } from "./errors.ts";

test("every code has a help sentence and one of the documented exit codes", (t) => {
	const exits = new Set<number>(Object.values(EXIT));
	for (const [code, { exit, help }] of Object.entries(ERRORS)) {
		t.regex(code, /^E_[A-Z_]+$/);
		t.regex(help, /^[A-Z].*\.$/, code);
		t.true(exits.has(exit), code);
		t.not(exit, EXIT.done, code);
	}
});

test("an error carries its entry", (t) => {
	const cause = new Error("inner");
	const error = new WattvoxError("E_SIGNATURE", "not signed", { cause });
	t.like(error, {
		name: "WattvoxError",
		code: "E_SIGNATURE",
		message: "not signed",
		exit: 4,
		cause,
	});
	t.is(error.help, ERRORS.E_SIGNATURE.help);
});

for (const [errno, code] of [
	["ENOSPC", "E_DISK_FULL"],
	["EFBIG", "E_DISK_FULL"],
	["EROFS", "E_OUTPUT"],
	["ENOENT", "E_FILE_MISSING"],
	["ECONNREFUSED", "E_BROKER"],
	["EWEIRD", "E_BUG"],
] as const)
	test(`${errno} becomes ${code}`, (t) => {
		const cause = Object.assign(new Error("sys"), { code: errno });
		t.like(asWattvoxError(cause), { code, message: "sys", cause });
	});

test("an abort is an interruption, a coded error stays itself, anything else is our bug", (t) => {
	t.is(asWattvoxError(AbortSignal.abort().reason).code, "E_INTERRUPTED");
	const coded = new WattvoxError("E_KEY", "no");
	t.is(asWattvoxError(coded), coded);
	t.like(asWattvoxError("text"), { code: "E_BUG", message: "text" });
	t.is(asWattvoxError(undefined).code, "E_BUG");
});
