import test from "ava";
import { parseSince } from "./span.ts";

const NOW = Date.UTC(2026, 4, 10, 13, 37, 42);

test("a span begins where people say", (t) => {
	t.is(parseSince("90m", NOW), Date.UTC(2026, 4, 10, 12, 7));
	t.is(parseSince("7d", NOW), Date.UTC(2026, 4, 3, 13));
	t.is(parseSince("20w", NOW), Date.UTC(2025, 11, 21));
	t.is(parseSince("today", NOW), Date.UTC(2026, 4, 10));
	t.is(parseSince("2026-05-01", NOW), Date.UTC(2026, 4, 1));
});

test("what is no beginning is refused", (t) => {
	for (const text of ["", "7", "7y", "-1d", "0d", "2030-01-01", "soon"])
		t.throws(() => parseSince(text, NOW), { code: "E_USAGE" }, text);
});
