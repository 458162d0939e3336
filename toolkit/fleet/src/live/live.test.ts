import { encode, type Reported, topic } from "@wattvox/link";
import test from "ava";
import type { PowerFeed } from "../collector.ts";
import { point } from "../power/store-contract.ts";
import { LiveFleet } from "./live-fleet.ts";
import { type Known, type State, whereabouts } from "./whereabouts.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];
const reported = (part: Partial<Reported> = {}): Reported => ({
	...{ v: 1, bundle: A, revision: 5, state: "active" },
	...{ at: "2026-05-01T00:00:00Z", ...part },
});

test("where a device is, and why it is not where it should be", (t) => {
	const desired = { bundle: A, revision: 5 };
	const reason = { code: "E_X", message: "broken" };
	const cases: [Partial<Known>, State, RegExp][] = [
		[{}, "good", /^$/],
		[{ online: null }, "good", /^$/],
		[{ online: false }, "wrong", /^offline$/],
		[{ reported: null }, "wrong", /never reported/],
		[{ reported: null, online: false }, "wrong", /offline, and never/],
		[{ reported: null, desired: null }, "none", /nothing is desired/],
		[{ desired: { bundle: B, revision: 6 } }, "wrong", /not seen the newest/],
		[
			{ desired: { bundle: B, revision: 6 }, online: false },
			"wrong",
			/offline since before/,
		],
		[
			{ reported: reported({ state: "failed", reason }) },
			"wrong",
			/E_X: broken/,
		],
		[
			{
				reported: reported({
					state: "pulling",
					progress: { done: 1, total: 3 },
				}),
			},
			"busy",
			/pulling, 33 %/,
		],
		[{ reported: reported({ state: "checking" }) }, "busy", /checking/],
		[{ reported: reported({ bundle: B }) }, "wrong", /another bundle/],
		[
			{ reported: reported({ state: "idle", bundle: null }) },
			"wrong",
			/no voice/,
		],
		[{ desired: null }, "good", /^$/],
	];
	for (const [known, state, why] of cases) {
		const got = whereabouts({
			...{ online: true, reported: reported(), desired },
			...known,
		});
		t.is(got.state, state, JSON.stringify(known));
		t.regex(got.why, why);
	}
});

/** A live fleet that tests speak to. */
function house(limit?: number) {
	let now = Date.UTC(2026, 4, 1);
	const handlers: Parameters<PowerFeed["subscribe"]>[1][] = [];
	const live = new LiveFleet({
		link: {
			async subscribe(_, handler) {
				handlers.push(handler);
				return async () => undefined;
			},
		},
		now: () => now,
		...(limit !== undefined && { limit }),
	});
	return {
		live,
		say: (device: string, kind: "presence" | "reported" | "power", m: object) =>
			handlers[0]?.(topic("home", device, kind), encode(m)),
		later: (ms: number) => {
			now += ms;
		},
		now: () => now,
	};
}

test("power now is the difference of two reports, measured and estimated apart, until it is old", async (t) => {
	const h = house();
	await h.live.start();
	const say = (
		device: string,
		sequence: number,
		seconds: number,
		mj: number | null,
		measured = true,
	) =>
		h.live.point(
			point({
				...{ device, sequence, measured, millijoules: mj },
				at: h.now() + seconds * 1000,
			}),
			h.now(),
		);
	say("m", 0, 0, 1000);
	t.is(h.live.summary().watts, null, "one report is no power");
	say("m", 1, 10, 51_000);
	say("m", 1, 20, 99_000);
	say("m", 0, 30, 99_000);
	say("e", 0, 0, 0, false);
	say("e", 1, 10, 20_000, false);
	say("u", 0, 0, null);
	say("u", 1, 10, null);
	t.like(h.live.summary(), {
		...{ devices: 3, watts: 5, estimatedWatts: 2, measured: 1, powered: 2 },
	});
	h.later(180_000);
	t.like(h.live.summary(), { watts: null, estimatedWatts: null });
});

test("a late will does not hide a newer session, and nonsense changes nothing", async (t) => {
	const h = house(2);
	await h.live.start();
	h.say("d", "presence", { v: 1, online: true, session: 2 });
	h.say("d", "presence", { v: 1, online: false, session: 1 });
	h.say("d", "presence", { online: "yes" });
	h.say("d", "reported", { v: 9 });
	h.say("d", "power", {});
	t.like(h.live.device("home", "d"), { online: true, reported: null });
	h.say("d", "presence", { v: 1, online: false, session: 2 });
	t.is(h.live.device("home", "d")?.online, false);
	h.say("e", "reported", reported());
	h.say("f", "reported", reported());
	t.is(h.live.devices().length, 2);
	t.is(h.live.ignored, 1);
	await h.live.stop();
});
