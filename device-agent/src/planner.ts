import type { ErrorCode } from "@wattvox/core";
import type { Desired } from "@wattvox/link";
import type { JoulesView } from "./joules/joules-gate.ts";
import { type Active, goodOnes } from "./pointer.ts";

/** Why something does not run. */
export interface Reason {
	code: ErrorCode;
	message: string;
}

/** A bundle that must not speak, until a desired state of a higher revision asks for it again. */
export interface Rejected extends Reason {
	revision: number;
}

/** Everything the planner looks at. */
export interface View {
	/** Monotonic, ms. */
	now: number;
	/** Verified and accepted; null when none ever came. */
	desired: Pick<Desired, "bundle" | "store" | "revision"> | null;
	/** Why no update may begin now: what would allow it has expired; null: it may. */
	stale: Reason | null;
	active: Active | null;
	/** Bundles whose every byte is in the store. */
	stored: ReadonlySet<string>;
	/** Bundles of which a pull has brought a part. */
	staged: ReadonlySet<string>;
	/** Bundles laid out as folders that can be loaded. */
	laidOut: ReadonlySet<string>;
	/** Bundles that spoke their golden sentences well since the agent started. */
	passed: ReadonlySet<string>;
	rejected: ReadonlyMap<string, Rejected>;
	/** Good voices before the active one whose files were found to be not what was verified. */
	damaged?: ReadonlySet<string>;
	/** Of the active voice; null: there are to be no engines on this device. */
	engine?: EngineView | null | undefined;
	/** A good voice beside the active one of which it is not known whether the cache has an engine; null: none. */
	unseen?: string | null | undefined;
	/** Of the active voice; null: it is not held to joules. */
	joules?: JoulesView | null | undefined;
	speaker: {
		/** Its process answers. */
		up: boolean;
		/** What it speaks with; null: nothing. */
		digest: string | null;
		/** The engine that it speaks by; null: none. */
		engine?: string | null | undefined;
		/** What it could not load, why, and since when: monotonic, ms. */
		failed: (Reason & { digest: string; at: number }) | null;
	};
	/** After a failure that time may heal: no attempt before this, ms. */
	retryAt: number | null;
}

/** How far the active voice's engine is. */
export type EngineView =
	/** Not looked at since the agent started. */
	| { state: "wanted" }
	/** It survived its trial. */
	| { state: "ready"; id: string }
	/** Its build station has not brought it yet, and this device builds none; to be asked for again at `at`, monotonic ms. */
	| { state: "waiting"; reason: Reason; at: number }
	/** There is none for this voice, and why. */
	| { state: "failed"; reason: Reason };

/** One thing to do. The executor does it and looks again. */
export type Step =
	/** Back to the last good voice, because the active one does not load, or draws too much. */
	| { do: "fall-back"; from: string; to: string; reason: Reason }
	/** Tell the speaker to change to the active voice between two utterances. */
	| { do: "swap"; digest: string }
	/** The active bundle is what a newer revision wants too. */
	| { do: "confirm"; revision: number }
	/** Fetch what is missing of a bundle, block by block. */
	| { do: "pull"; digest: string; store: string }
	/** Lay a bundle out as a folder, verifying every byte again. */
	| { do: "lay-out"; digest: string }
	/** Speak the golden sentences in a process of its own. */
	| { do: "try"; digest: string }
	/** Point to it: from now on this is the voice. */
	| { do: "activate"; digest: string; revision: number }
	/** Take a good voice whose files are damaged out of the pointer, with its files: it may be pulled anew. */
	| { do: "forget"; digest: string }
	/** Remove bundles that nothing points to: laid out, stored or half pulled. */
	| { do: "prune"; digests: string[] }
	/** Find or build the active voice's engine and try it, in a child process; the voice speaks meanwhile. */
	| { do: "engine"; digest: string }
	/** Look for the engine of a voice beside the active one in the cache, and try it; nothing is built for it. */
	| { do: "look"; digest: string }
	/** Hold the active voice to its joules per second of speech, in a child process; it speaks meanwhile. */
	| { do: "measure"; digest: string; last: string | null }
	/** All is well; look again at this time, ms. */
	| { do: "rest"; until: number }
	/** Nothing before this time, ms. */
	| { do: "wait"; until: number };

/** Steps that are done; the others only wait. */
export type Work = Exclude<Step["do"], "rest" | "wait">;

/**
 * Longest a step may take, ms. Each is far above what the step takes on a slow board: past it something
 * hangs. A step that is cut is done again later, from what it left on disk.
 */
export const DEADLINES: Readonly<Record<Work, number>> = {
	// verifies a voice
	"fall-back": 10 * 60_000,
	swap: 60_000,
	// a few small files
	confirm: 60_000,
	activate: 60_000,
	// goes on from the blocks on disk; silence and a broker that is away end it long before
	pull: 6 * 3_600_000,
	"lay-out": 10 * 60_000,
	try: 5 * 60_000,
	// look through the whole store
	forget: 10 * 60_000,
	prune: 10 * 60_000,
	engine: 90 * 60_000,
	look: 10 * 60_000,
	measure: 10 * 60_000,
};

/** A voice that does not load, on a device that has no other, is tried again after so long, ms. */
export const MUTE_MS = 60_000;

/**
 * The next step, or undefined when all is as it should be. Pure: the same view gives the same step.
 *
 * INVARIANTS
 * - There is always a voice that can speak, unless none ever arrived.
 * - Each step can be broken off anywhere and done again: after a crash it resumes or falls back.
 * - Of all steps only the swap reaches the speaker's process; what is pulled, verified, tried, built and
 *   refitted is so elsewhere.
 * - A bundle becomes active only when it is laid out (so verified) and passed its golden sentences.
 * - What is active stays until another is: no step leaves the device without the voice it had.
 * - What is removed is neither active, nor one of the last good ones, nor spoken with, nor wished for.
 * - A rejected bundle is not tried again for the revision that brought it.
 * - Expiry stops updates and nothing else: what speaks goes on, also after a restart.
 * - A voice that cannot be loaded gives way to the last good one; one that is damaged is never that. Where
 *   there is none, it is tried again and again: what kept it from loading, want of memory say, may have passed.
 * - An engine is looked for only when nothing else is to be done, and the voice speaks without it meanwhile;
 *   the speaker gets it only after its trial. Those of voices beside it come after its own.
 * - A voice is held to its joules when it speaks as it will, with its engine if it has one; drawing too much
 *   it gives way to the last good one, where there is one.
 */
export function plan(view: View): Step | undefined {
	const voice = planVoice(view);
	if (voice) return voice;
	const rests: { do: "rest"; until: number }[] = [];
	for (const next of [planEngine, planJoules, planLook, planSilence]) {
		const step = next(view);
		if (step?.do === "rest") rests.push(step);
		else if (step) return step;
	}
	return rests.sort((a, b) => a.until - b.until)[0];
}

/** When to try the voice of a mute device again; undefined: it is not mute, or has another voice to speak with. */
function silentUntil(view: View): number | undefined {
	const { active, speaker } = view;
	const { failed } = speaker;
	if (!active || failed?.digest !== active.digest) return undefined;
	return !speaker.up || speaker.digest || canFallBack(view, active)
		? undefined
		: failed.at + MUTE_MS;
}

function planSilence(view: View): Step | undefined {
	const until = silentUntil(view);
	return until === undefined ? undefined : { do: "rest", until };
}

function planJoules(view: View): Step | undefined {
	const { active, joules, speaker, now } = view;
	if (!active || !joules || !speaker.up || speaker.digest !== active.digest)
		return undefined;
	const { digest, previous } = active;
	switch (joules.state) {
		case "wanted": {
			if (now < joules.at) return { do: "rest", until: joules.at };
			const last = canFallBack(view, active) ? previous : null;
			return { do: "measure", digest, last };
		}
		case "failed":
			return canFallBack(view, active)
				? {
						...{ do: "fall-back", from: digest, to: active.previous },
						reason: joules.reason,
					}
				: undefined;
		case "passed":
			return undefined;
		default:
			return joules satisfies never;
	}
}

function planLook(view: View): Step | undefined {
	const { engine, unseen } = view;
	if (!engine || typeof unseen !== "string" || !speaksWell(view))
		return undefined;
	return { do: "look", digest: unseen };
}

/** The active voice is loaded, with or without its engine. */
function speaksWell({ active, speaker }: View): boolean {
	const { up, digest, failed } = speaker;
	return up && active?.digest === digest && failed?.digest !== digest;
}

function planEngine(view: View): Step | undefined {
	const { active, engine, speaker, now } = view;
	if (!active || !engine || !speaksWell(view)) return undefined;
	const { digest } = active;
	switch (engine.state) {
		case "wanted":
			return { do: "engine", digest };
		case "ready":
			return speaker.engine === engine.id ? undefined : { do: "swap", digest };
		case "waiting":
			return now < engine.at
				? { do: "rest", until: engine.at }
				: { do: "engine", digest };
		case "failed":
			return undefined;
		default:
			return engine satisfies never;
	}
}

function planVoice(view: View): Step | undefined {
	const { active, desired, speaker } = view;
	if (active) {
		const { failed } = speaker;
		if (failed?.digest === active.digest && canFallBack(view, active)) {
			const { code, message } = failed;
			return {
				do: "fall-back",
				from: active.digest,
				to: active.previous,
				reason: { code, message },
			};
		}
		if (
			speaker.up &&
			speaker.digest !== active.digest &&
			failed?.digest !== active.digest
		)
			return { do: "swap", digest: active.digest };
		if ((silentUntil(view) ?? Number.POSITIVE_INFINITY) <= view.now)
			return { do: "swap", digest: active.digest };
		const gone = goodOnes(active).find(
			(d) => d !== active.digest && view.damaged?.has(d),
		);
		if (gone !== undefined) return { do: "forget", digest: gone };
	}
	if (!desired) return undefined;
	if (desired.bundle === active?.digest) {
		if (desired.revision !== active.revision)
			return { do: "confirm", revision: desired.revision };
		return prune(view, active);
	}
	const rejected = view.rejected.get(desired.bundle);
	if (rejected && rejected.revision >= desired.revision)
		return active ? prune(view, active) : undefined;
	if (view.stale) return undefined;
	if (view.retryAt !== null && view.now < view.retryAt)
		return { do: "wait", until: view.retryAt };
	const digest = desired.bundle;
	if (!view.laidOut.has(digest))
		return view.stored.has(digest)
			? { do: "lay-out", digest }
			: { do: "pull", digest, store: desired.store };
	if (!view.passed.has(digest)) return { do: "try", digest };
	return { do: "activate", digest, revision: desired.revision };
}

function canFallBack(
	view: View,
	active: Active,
): active is Active & { previous: string } {
	const { previous } = active;
	return (
		previous !== null &&
		previous !== active.digest &&
		!view.damaged?.has(previous) &&
		view.laidOut.has(previous)
	);
}

/** What is wished for stays too: a higher revision may ask for a rejected one again. */
function prune(view: View, active: Active): Step | undefined {
	const kept = new Set([
		view.desired?.bundle,
		...goodOnes(active),
		view.speaker.digest,
	]);
	const here = new Set([...view.laidOut, ...view.stored, ...view.staged]);
	const digests = [...here].filter((d) => !kept.has(d)).sort();
	return digests.length > 0 ? { do: "prune", digests } : undefined;
}
