import test from "ava";
import { checkRollout, type KnownDevice } from "./check.ts";
import {
	beginning,
	ROLLOUT_DEFAULTS,
	type RolloutSpec,
	type RolloutState,
} from "./spec.ts";

function spec(part: Partial<RolloutSpec> = {}): RolloutSpec {
	return {
		...ROLLOUT_DEFAULTS,
		...{ id: "r", fleet: "home", bundle: "a".repeat(64), store: "store" },
		...{ previous: null, devices: null, waves: [0.5, 1] },
		...part,
	};
}

function devices(
	count: number,
	part: Partial<KnownDevice> = {},
	from = 0,
): KnownDevice[] {
	return Array.from({ length: count }, (_, i) => ({
		...{ device: `d${from + i}`, deviceClass: "nano", measured: true },
		...part,
	}));
}

test("a rollout is for whom it names, of the classes it names", (t) => {
	const fleet = [...devices(3), ...devices(2, { deviceClass: "agx" }, 3)];
	t.is(checkRollout(spec(), fleet, []).length, 5);
	t.deepEqual(checkRollout(spec({ classes: ["agx"] }), fleet, []), [
		"d3",
		"d4",
	]);
	t.deepEqual(checkRollout(spec({ devices: ["d1"] }), fleet, []), ["d1"]);
});

test("what cannot work is refused, and why is said", (t) => {
	const state = (status: RolloutState["status"], part = {}): RolloutState => ({
		...beginning(spec({ id: "other", ...part }), [], 0),
		status,
	});
	for (const [part, known, others, code, why] of [
		[{}, [], [], "E_USAGE", /heard of no device of fleet home/],
		[{ devices: ["d1", "x"] }, devices(3), [], "E_USAGE", /no device x/],
		[
			{ classes: ["agx"] },
			[...devices(2), ...devices(1, { deviceClass: null }, 2)],
			[],
			"E_USAGE",
			/no device of fleet home is of class agx; there are nano, unknown/,
		],
		[
			{ devices: ["d0"], classes: ["agx"] },
			[...devices(1), ...devices(1, { deviceClass: "agx" }, 1)],
			[],
			"E_USAGE",
			/none of the named devices/,
		],
		[{}, devices(3), [state("held")], "E_BUSY", /other of fleet home is held/],
		[{ id: "other" }, devices(3), [state("done")], "E_USAGE", /another --id/],
		[
			{ requireEnergy: true },
			[
				...devices(9, { measured: false }),
				...devices(9, { measured: undefined } as never, 9),
			],
			[],
			"E_USAGE",
			/no device has a sensor/,
		],
		[
			{ requireEnergy: true },
			devices(20, { deviceClass: null }),
			[],
			"E_USAGE",
			/does not say its device class/,
		],
		[
			{ requireEnergy: true, waves: [0.1, 1] },
			devices(20),
			[],
			"E_USAGE",
			/behind wave 1 there are 2 devices .* 18 .* needs 5 of each/,
		],
		[
			// of each class one: no control group
			{ requireEnergy: true, leastDevices: 2 },
			Array.from({ length: 8 }, (_, i) =>
				devices(1, { deviceClass: `c${i}` }, i),
			).flat(),
			[],
			"E_USAGE",
			/behind wave 1 there are 0 devices/,
		],
	] as const)
		t.throws(
			() =>
				checkRollout(
					spec(part as Partial<RolloutSpec>),
					known as KnownDevice[],
					others as unknown as RolloutState[],
				),
			{ code, message: why },
		);
	// the same, of another fleet or over, is no hindrance
	const others = [state("running", { fleet: "away" }), state("aborted")];
	t.is(
		checkRollout(spec({ requireEnergy: true }), devices(20), others).length,
		20,
	);
});
