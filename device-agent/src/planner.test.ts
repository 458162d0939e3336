import test from "ava";
import fc from "fast-check";
import type { JoulesView } from "./joules/joules-gate.ts";
import {
	type EngineView,
	MUTE_MS,
	plan,
	type Step,
	type View,
} from "./planner.ts";
import { demoted, promoted, without } from "./pointer.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);
const C = "c".repeat(64);
const reason = { code: "E_MODEL", message: "broken" } as const;
const dear = { code: "E_JOULES", message: "too much" } as const;

function view(change: Partial<View> = {}): View {
	return {
		now: 1000,
		desired: null,
		stale: null,
		active: null,
		stored: new Set(),
		staged: new Set(),
		laidOut: new Set(),
		passed: new Set(),
		rejected: new Map(),
		speaker: { up: true, digest: null, failed: null },
		retryAt: null,
		...change,
	};
}

const desired = (bundle: string, revision = 1) => ({
	bundle,
	revision,
	store: "store",
});
const active = (digest: string, previous: string | null = null) => ({
	digest,
	revision: 1,
	previous,
});
const speaks = (digest: string | null) => ({
	up: true,
	digest,
	failed: null,
});
/** A runs well. */
const running = {
	desired: desired(A),
	active: active(A),
	stored: new Set([A]),
	laidOut: new Set([A]),
	speaker: speaks(A),
};
/** The same, with a good voice before it. */
const measured = {
	...running,
	active: active(A, B),
	stored: new Set([A, B]),
	laidOut: new Set([A, B]),
};

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

const digest = fc.constantFrom(A, B, C);
const digests = fc.subarray([A, B, C]).map((d) => new Set(d));
const anyView: fc.Arbitrary<View> = fc.record({
	now: fc.constantFrom(0, 1000, 2000),
	desired: fc.option(
		fc.record({
			bundle: digest,
			revision: fc.integer({ min: 1, max: 3 }),
			store: fc.constant("store"),
		}),
	),
	stale: fc.option(fc.constant(reason), { freq: 3 }),
	active: fc.option(
		fc.record({
			digest,
			revision: fc.integer({ min: 1, max: 3 }),
			previous: fc.option(digest),
		}),
	),
	stored: digests,
	staged: digests,
	laidOut: digests,
	passed: digests,
	damaged: digests,
	rejected: fc
		.array(fc.tuple(digest, fc.integer({ min: 1, max: 3 })), { maxLength: 3 })
		.map(
			(r) => new Map(r.map(([d, revision]) => [d, { ...reason, revision }])),
		),
	speaker: fc.record({
		up: fc.boolean(),
		digest: fc.option(digest),
		failed: fc.option(digest.map((d) => ({ digest: d, ...reason, at: 900 }))),
		engine: fc.option(fc.constantFrom("e", "f")),
	}),
	engine: fc.option(
		fc.constantFrom<EngineView>(
			{ state: "wanted" },
			{ state: "ready", id: "e" },
			{ state: "failed", reason },
			{ state: "waiting", reason, at: 500 },
			{ state: "waiting", reason, at: 1500 },
		),
	),
	unseen: fc.option(digest),
	joules: fc.option(
		fc.constantFrom<JoulesView>(
			{ state: "wanted", at: 1500 },
			{ state: "passed" },
			{ state: "failed", reason: dear },
		),
	),
	retryAt: fc.option(fc.constantFrom(500, 1500)),
});

const inUse = (v: View): (string | null | undefined)[] => [
	v.active?.digest,
	v.active?.previous,
	v.speaker.digest,
	v.desired?.bundle,
];

test("whatever the view: nothing unproven is activated, nothing in use is removed", (t) => {
	fc.assert(
		fc.property(anyView, (v) => {
			const step = plan(v);
			if (step?.do === "activate")
				t.true(v.laidOut.has(step.digest) && v.passed.has(step.digest));
			if (step?.do === "fall-back")
				t.true(
					v.laidOut.has(step.to) &&
						step.to !== v.active?.digest &&
						!v.damaged?.has(step.to),
				);
			if (step?.do === "forget")
				t.true(v.damaged?.has(step.digest) && step.digest !== v.active?.digest);
			if (step?.do === "prune")
				for (const d of step.digests) t.false(inUse(v).includes(d));
			if (step?.do === "wait" || step?.do === "rest")
				t.true(step.until > v.now);
			if (v.stale)
				t.false(
					["pull", "lay-out", "try", "activate"].includes(step?.do ?? ""),
				);
			if (step?.do === "swap") t.true(step.digest === v.active?.digest);
			if (step?.do === "measure") {
				// not before it speaks as it will, and never instead of an update
				t.is(v.joules?.state, "wanted");
				t.true(v.speaker.digest === v.active?.digest);
				t.not(v.engine?.state, "wanted");
				t.true(!step.last || v.laidOut.has(step.last));
			}
			if (step?.do === "engine")
				t.true(
					v.speaker.digest === v.active?.digest &&
						["wanted", "waiting"].includes(v.engine?.state ?? ""),
				);
			if (step?.do === "look") {
				t.is(v.speaker.digest, v.active?.digest ?? null);
				t.false(["wanted", undefined].includes(v.engine?.state));
			}
		}),
		{ numRuns: 500 },
	);
});

/** The world after a step, when the step works. */
function after(v: View, step: Step): View {
	switch (step.do) {
		case "pull":
			return { ...v, stored: new Set([...v.stored, step.digest]) };
		case "lay-out":
			return { ...v, laidOut: new Set([...v.laidOut, step.digest]) };
		case "try":
			return { ...v, passed: new Set([...v.passed, step.digest]) };
		case "activate":
			return {
				...v,
				active: {
					digest: step.digest,
					revision: step.revision,
					previous: v.active?.digest ?? null,
				},
			};
		case "confirm":
			return {
				...v,
				active: v.active && { ...v.active, revision: step.revision },
			};
		case "swap":
			return {
				...v,
				speaker: {
					...speaks(step.digest),
					engine: v.engine?.state === "ready" ? v.engine.id : null,
				},
			};
		case "fall-back":
			return {
				...v,
				active: { digest: step.to, revision: 3, previous: null },
				joules: { state: "passed" },
				rejected: new Map([
					...v.rejected,
					[step.from, { ...step.reason, revision: 3 }],
				]),
				speaker: { ...v.speaker, failed: null },
			};
		case "forget": {
			const rest = (of: ReadonlySet<string> | undefined) =>
				new Set([...(of ?? [])].filter((d) => d !== step.digest));
			return {
				...v,
				active: v.active && without(v.active, step.digest),
				laidOut: rest(v.laidOut),
				stored: rest(v.stored),
				damaged: rest(v.damaged),
			};
		}
		case "prune": {
			const gone = new Set(step.digests);
			const rest = (of: ReadonlySet<string>) =>
				new Set([...of].filter((d) => !gone.has(d)));
			return {
				...v,
				laidOut: rest(v.laidOut),
				stored: rest(v.stored),
				staged: rest(v.staged),
			};
		}
		case "engine":
			return { ...v, engine: { state: "ready", id: "e" } };
		case "look":
			return { ...v, unseen: null };
		case "measure":
			return { ...v, joules: { state: "passed" } };
		case "rest":
		case "wait":
			return { ...v, now: step.until };
	}
}

test("whatever the view: when every step works, the steps come to an end", (t) => {
	fc.assert(
		fc.property(anyView, (start) => {
			let v = start;
			let steps = 0;
			for (let step = plan(v); step; step = plan(v)) {
				v = after(v, step);
				if (++steps > 20) return t.fail(`no end: ${JSON.stringify(step)}`);
			}
			const wanted = v.desired?.bundle;
			const refused = wanted && v.rejected.has(wanted);
			if (wanted && !refused && !v.stale && v.speaker.up && !v.speaker.failed)
				t.is(v.speaker.digest, wanted);
		}),
		{ numRuns: 500 },
	);
});

test("last good voices are remembered, newest first, and not for ever", (t) => {
	const names = ["a", "b", "c", "d", "e"].map((c) => c.repeat(64));
	let active: View["active"] = null;
	for (const [n, digest] of names.entries())
		active = promoted(active, digest, n + 1);
	const [, b, c, d, e] = names;
	t.deepEqual(active, {
		digest: e,
		revision: 5,
		previous: d,
		earlier: [c, b],
	});
	// wished for again it is no longer among the ones before
	const again = active && promoted(active, String(c), 6);
	t.like(again, { digest: c, previous: e, earlier: [d, b] });
	const back = again && demoted(demoted(again));
	t.deepEqual(back, {
		digest: d,
		revision: 6,
		previous: b,
		earlier: [],
	});
	t.is(again && promoted(again, String(e), 7, 1).earlier?.length, 0);
	t.like(again && without(again, String(e)), { previous: d, earlier: [b] });
	t.deepEqual(again && without(again, String(c)), again);
});
