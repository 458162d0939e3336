import test from "ava";
import { parseLength, parseMoment } from "./when.ts";

test("lengths of time", (t) => {
	t.is(parseLength("90m", "x"), 5400);
	t.is(parseLength("1h 30min", "x"), 5400);
	t.is(parseLength("0.5d", "x"), 43_200);
	for (const bad of ["", "12", "h", "-3h", "soon", "0h"])
		t.throws(() => parseLength(bad, "takes"), { message: /--takes/ }, bad);
});

test("moments: from now, the next time of day, a date that is to come", (t) => {
	const now = new Date(2026, 2, 4, 10, 0).getTime();
	t.is(parseMoment("12h", "x", now), now + 12 * 3_600_000);
	t.is(parseMoment("11:30", "x", now), now + 1.5 * 3_600_000);
	t.is(parseMoment("09:00", "x", now), now + 23 * 3_600_000);
	t.is(parseMoment("2026-03-05T10:00", "x", now), now + 24 * 3_600_000);
	t.throws(() => parseMoment("2026-03-01", "deadline", now), {
		message: /past/,
	});
	t.throws(() => parseMoment("tomorrow", "deadline", now), {
		message: /--deadline/,
	});
});
