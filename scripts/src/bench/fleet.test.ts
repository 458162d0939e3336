import { temporaryDir } from "@wattvox/bundle/testing";
import test from "ava";
import { measureFleet } from "./fleet.ts";

test("a small fleet: nothing lost, exact to the millijoule", async (t) => {
	t.timeout(180_000);
	const r = await measureFleet(
		{
			...{ devices: 20, seconds: 1, period: 0.2, on: "embedded" },
			dir: await temporaryDir(t),
		},
		() => undefined,
		new AbortController().signal,
	);
	t.is(r.lost, 0);
	t.is(r.differenceMillijoules, 0);
	t.is(r.got.devices, 20);
	t.true(r.sent.reports >= 60);
});
