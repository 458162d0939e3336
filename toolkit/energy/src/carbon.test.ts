import test from "ava";
import { openCarbonSource } from "./carbon.ts";

test("a fixed intensity is what it says at any time", async (t) => {
	const source = openCarbonSource("fixed:233.5");
	t.is(source.name, "fixed:233.5");
	t.is(await source.intensity(new Date()), 233.5);
});

test("unknown stays unknown", async (t) => {
	t.is(await openCarbonSource("unknown").intensity(new Date()), null);
});

test("anything else is a usage error", (t) => {
	for (const name of ["", "fixed:", "fixed:-3", "fixed:0x10", "csv:x", "uk"])
		t.throws(() => openCarbonSource(name), { message: /neither fixed:G/ });
});
