import { ManualClock } from "@wattvox/core";
import type { BoardFacts } from "@wattvox/energy";
import test from "ava";
import { BoardWatch } from "./board-watch.ts";

const still: BoardFacts = {
	...{ model: "NVIDIA Jetson Orin NX", l4t: "36.4.3", tensorrt: "10.3.0" },
	...{ powerMode: "15W", temperatures: { cpu: 50, gpu: 48 }, gpuLoad: 0.1 },
};
const none: BoardFacts = {
	...{ model: null, l4t: null, tensorrt: null, powerMode: null },
	...{ temperatures: {}, gpuLoad: null },
};

function watched(facts: BoardFacts) {
	const clock = new ManualClock();
	const now = { facts };
	let changes = 0;
	const watch = new BoardWatch({
		...{ read: () => now.facts, clock, everyMs: 3_600_000 },
		onChange: () => changes++,
	});
	/** Looks again after a minute. @returns whether there was something to report */
	const look = async (change: Partial<BoardFacts>): Promise<boolean> => {
		const before = changes;
		now.facts = { ...now.facts, ...change };
		await clock.advance(60_000);
		watch.look();
		return changes > before;
	};
	return { watch, look };
}

test("a changed fact is worth a report, a degree and a little load are not", async (t) => {
	const { watch, look } = watched(still);
	t.is(watch.told, undefined, "nothing was looked at yet");
	t.true(await look({}));
	const first = watch.told;
	t.like(first, still);
	t.false(await look({}));
	t.false(await look({ temperatures: { cpu: 54.9, gpu: 30 } }));
	t.false(await look({ gpuLoad: 0.34 }));
	t.deepEqual(watch.told, first, "what was told says when it was looked at");
	// the way from what was told counts, not that from the look before
	t.true(await look({ temperatures: { cpu: 55, gpu: 30 } }));
	t.like(watch.told, { temperatures: { cpu: 55, gpu: 30 }, gpuLoad: 0.34 });
	t.not(watch.told?.at, first?.at);
	t.true(await look({ gpuLoad: 0.6 }));
	t.true(await look({ gpuLoad: null }));
	t.true(await look({ temperatures: {} }));
	for (const fact of ["model", "l4t", "tensorrt", "powerMode"] as const) {
		t.true(await look({ [fact]: "another" }), fact);
		t.true(await look({ [fact]: null }), fact);
	}
	t.is(watch.told, undefined, "nothing is left to say");
});

test("a board that says nothing reports nothing; one that says too much is cut", async (t) => {
	const { watch, look } = watched(none);
	await look({});
	t.is(watch.told, undefined);
	const zones = Array.from({ length: 40 }, (_, i) => [`zone-${i}`, i]);
	await look({
		model: "x".repeat(999),
		temperatures: Object.fromEntries(zones),
	});
	t.is(watch.told?.model?.length, 200);
	t.is(Object.keys(watch.told?.temperatures ?? {}).length, 32);
	await look({ gpuLoad: 1.5 });
	t.is(watch.told?.gpuLoad, 1);
});

test("it looks when it starts, and stops twice", (t) => {
	const { watch } = watched(still);
	watch.start();
	t.is(watch.told?.model, still.model);
	watch.stop();
	watch.stop();
});
