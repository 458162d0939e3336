import test from "ava";
import {
	A,
	active,
	B,
	C,
	dear,
	desired,
	measured,
	reason,
	running,
	speaks,
	view,
} from "./_planner-views.test.ts";
import { MUTE_MS, plan, type Step, type View } from "./planner.ts";

const TABLE: [string, View, Step | undefined][] = [
	["nothing is wanted", view(), undefined],
	[
		"a wish begins with a pull",
		view({ desired: desired(A) }),
		{ do: "pull", digest: A, store: "store" },
	],
	[
		"what has expired brings no update",
		view({ desired: desired(A), stale: reason }),
		undefined,
	],
	[
		"expiry does not end speech",
		view({
			desired: desired(B),
			stale: reason,
			active: active(A),
			laidOut: new Set([A, B]),
			passed: new Set([B]),
			speaker: speaks(null),
		}),
		{ do: "swap", digest: A },
	],
	[
		"what is in the store is laid out",
		view({ desired: desired(A), stored: new Set([A]) }),
		{ do: "lay-out", digest: A },
	],
	[
		"what is laid out must prove itself",
		view({ desired: desired(A), laidOut: new Set([A]) }),
		{ do: "try", digest: A },
	],
	[
		"what passed becomes active",
		view({
			desired: desired(A, 7),
			laidOut: new Set([A]),
			passed: new Set([A]),
		}),
		{ do: "activate", digest: A, revision: 7 },
	],
	[
		"the speaker changes to the active voice",
		view({ ...running, speaker: speaks(B) }),
		{ do: "swap", digest: A },
	],
	[
		"a speaker that is down is not told anything",
		view({ ...running, speaker: { up: false, digest: null, failed: null } }),
		undefined,
	],
	["all is as it should be", view(running), undefined],
	[
		"a good voice that is damaged is forgotten",
		view({ ...running, active: active(A, B), damaged: new Set([B]) }),
		{ do: "forget", digest: B },
	],
	[
		"the active voice is not forgotten, whatever its files are",
		view({ ...running, damaged: new Set([A]) }),
		undefined,
	],
	[
		"nothing falls back to a damaged voice",
		view({
			...running,
			active: active(A, B),
			laidOut: new Set([A, B]),
			damaged: new Set([B]),
			speaker: {
				up: true,
				digest: null,
				failed: { digest: A, ...reason, at: 900 },
			},
		}),
		{ do: "forget", digest: B },
	],
	[
		"a newer revision of the same is confirmed",
		view({ ...running, desired: desired(A, 9) }),
		{ do: "confirm", revision: 9 },
	],
	[
		"an update keeps the old voice while it is pulled",
		view({ ...running, desired: desired(B, 2) }),
		{ do: "pull", digest: B, store: "store" },
	],
	[
		"a rejected bundle is left alone",
		view({
			...running,
			desired: desired(B, 2),
			rejected: new Map([[B, { ...reason, revision: 2 }]]),
		}),
		undefined,
	],
	[
		"a higher revision gives it another chance",
		view({
			...running,
			desired: desired(B, 3),
			rejected: new Map([[B, { ...reason, revision: 2 }]]),
		}),
		{ do: "pull", digest: B, store: "store" },
	],
	[
		"a failure that time may heal is waited out",
		view({ desired: desired(A), retryAt: 1500 }),
		{ do: "wait", until: 1500 },
	],
	[
		"and then tried again",
		view({ desired: desired(A), retryAt: 1000 }),
		{ do: "pull", digest: A, store: "store" },
	],
	[
		"waiting for one thing does not hold up the swap",
		view({
			...running,
			desired: desired(B, 2),
			retryAt: 1500,
			speaker: speaks(null),
		}),
		{ do: "swap", digest: A },
	],
	[
		"a voice that does not load gives way to the last good one",
		view({
			desired: desired(B, 2),
			active: active(B, A),
			laidOut: new Set([A, B]),
			speaker: {
				up: true,
				digest: A,
				failed: { digest: B, ...reason, at: 900 },
			},
		}),
		{ do: "fall-back", from: B, to: A, reason },
	],
	[
		"without a last good one a mute device waits",
		view({
			desired: desired(B, 1),
			active: active(B),
			laidOut: new Set([B]),
			speaker: {
				up: true,
				digest: null,
				failed: { digest: B, ...reason, at: 900 },
			},
		}),
		{ do: "rest", until: 900 + MUTE_MS },
	],
	[
		"and then tries its voice again",
		view({
			now: 900 + MUTE_MS,
			desired: desired(B, 1),
			active: active(B),
			laidOut: new Set([B]),
			speaker: {
				up: true,
				digest: null,
				failed: { digest: B, ...reason, at: 900 },
			},
		}),
		{ do: "swap", digest: B },
	],
	[
		"but a voice that speaks is left alone",
		view({
			now: 900 + MUTE_MS,
			desired: desired(B, 1),
			active: active(B),
			laidOut: new Set([B]),
			speaker: {
				up: true,
				digest: A,
				failed: { digest: B, ...reason, at: 900 },
			},
		}),
		undefined,
	],
	[
		"a last good one that is gone from disk is none",
		view({
			desired: desired(B, 1),
			active: active(B, A),
			laidOut: new Set([B]),
			speaker: {
				up: true,
				digest: null,
				failed: { digest: B, ...reason, at: 900 },
			},
		}),
		{ do: "rest", until: 900 + MUTE_MS },
	],
	[
		"voices that nothing points to are removed",
		view({
			...running,
			active: active(A, B),
			laidOut: new Set([A, B, C]),
		}),
		{ do: "prune", digests: [C] },
	],
	[
		"so is what lies in the store for nothing, whole or half pulled",
		view({ ...running, stored: new Set([A, C]), staged: new Set([B]) }),
		{ do: "prune", digests: [B, C] },
	],
	[
		"beside a wish that was refused the others go, and that one stays",
		view({
			...running,
			desired: desired(B, 2),
			rejected: new Map([[B, { ...reason, revision: 2 }]]),
			stored: new Set([A, B, C]),
		}),
		{ do: "prune", digests: [C] },
	],
	[
		"but not the one that still speaks",
		view({
			...running,
			active: active(A, B),
			laidOut: new Set([A, B, C]),
			speaker: { up: false, digest: C, failed: null },
		}),
		undefined,
	],
	[
		"an engine is looked for when nothing else is to be done",
		view({ ...running, engine: { state: "wanted" } }),
		{ do: "engine", digest: A },
	],
	[
		"an update comes before an engine",
		view({ ...running, desired: desired(B, 2), engine: { state: "wanted" } }),
		{ do: "pull", digest: B, store: "store" },
	],
	[
		"without a wish too: a device that was started without a broker",
		view({ ...running, desired: null, engine: { state: "wanted" } }),
		{ do: "engine", digest: A },
	],
	[
		"not for a voice that does not speak yet",
		view({
			...running,
			speaker: { up: false, digest: null, failed: null },
			engine: { state: "wanted" },
		}),
		undefined,
	],
	[
		"an engine that survived its trial goes to the speaker",
		view({ ...running, engine: { state: "ready", id: "e" } }),
		{ do: "swap", digest: A },
	],
	[
		"once",
		view({
			...running,
			speaker: { ...speaks(A), engine: "e" },
			engine: { state: "ready", id: "e" },
		}),
		undefined,
	],
	[
		"not to a speaker that could not load the voice",
		view({
			...running,
			speaker: { ...speaks(A), failed: { digest: A, ...reason, at: 900 } },
			engine: { state: "ready", id: "e" },
		}),
		undefined,
	],
	[
		"an engine that failed is left alone",
		view({ ...running, engine: { state: "failed", reason } }),
		undefined,
	],
	[
		"an engine that a station is to bring is asked for when it is time",
		view({ ...running, engine: { state: "waiting", reason, at: 1000 } }),
		{ do: "engine", digest: A },
	],
	[
		"and not before",
		view({ ...running, engine: { state: "waiting", reason, at: 1500 } }),
		{ do: "rest", until: 1500 },
	],
	[
		"waiting for it keeps nothing else waiting",
		view({
			...measured,
			engine: { state: "waiting", reason, at: 1500 },
			joules: { state: "wanted", at: 0 },
		}),
		{ do: "measure", digest: A, last: B },
	],
	[
		"the next thing to be done is what it rests for",
		view({
			...measured,
			engine: { state: "waiting", reason, at: 1500 },
			joules: { state: "wanted", at: 1400 },
		}),
		{ do: "rest", until: 1400 },
	],
	[
		"voices beside the active one come after it, when it speaks as it will",
		view({ ...running, engine: { state: "failed", reason }, unseen: B }),
		{ do: "look", digest: B },
	],
	[
		"and not before its own engine",
		view({ ...running, engine: { state: "wanted" }, unseen: B }),
		{ do: "engine", digest: A },
	],
	[
		"nor on a device without engines",
		view({ ...running, engine: null, unseen: B }),
		undefined,
	],
	[
		"the active voice is measured, with the last good one to compare it with",
		view({ ...measured, joules: { state: "wanted", at: 0 } }),
		{ do: "measure", digest: A, last: B },
	],
	[
		"alone where no other is laid out",
		view({ ...running, joules: { state: "wanted", at: 0 } }),
		{ do: "measure", digest: A, last: null },
	],
	[
		"later where it was disturbed",
		view({ ...running, now: 5, joules: { state: "wanted", at: 9 } }),
		{ do: "rest", until: 9 },
	],
	[
		"after its engine, by which it will speak",
		view({
			...{ ...running, engine: { state: "wanted" } },
			joules: { state: "wanted", at: 0 },
		}),
		{ do: "engine", digest: A },
	],
	[
		"drawing too much it gives way to the last good voice",
		view({ ...measured, joules: { state: "failed", reason: dear } }),
		{ do: "fall-back", from: A, to: B, reason: dear },
	],
	[
		"where there is none it speaks on",
		view({ ...running, joules: { state: "failed", reason: dear } }),
		undefined,
	],
];

for (const [name, given, step] of TABLE)
	test(name, (t) => {
		t.deepEqual(plan(given), step);
	});
