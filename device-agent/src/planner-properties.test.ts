import test from "ava";
import fc from "fast-check";
import { A, B, C, dear, reason, speaks } from "./_planner-views.test.ts";
import type { JoulesView } from "./joules/joules-gate.ts";
import { type EngineView, plan, type Step, type View } from "./planner.ts";
import { demoted, promoted, without } from "./pointer.ts";

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
