import type { SpeechFigure } from "@wattvox/energy";
import { energyGate, type GateResult, healthGate } from "./gates.ts";
import { type Progress, type RolloutState, waiting } from "./spec.ts";

/** What is seen of a device. */
export interface Seen {
	online: boolean | null;
	reported: {
		bundle: string | null;
		revision: number | null;
		state: string;
		reason?: { code: string; message: string } | undefined;
		/** What computes; undefined: it does not say. */
		runtime?: { name: string } | undefined;
	} | null;
	/** Drawn and spoken since the wave settled, by a sensor; undefined: none, or an estimate. */
	speech?: { joules: number; audioSeconds: number } | undefined;
	/** What it measured of the bundle it reports, by the fixed workload; undefined: nothing. */
	workload?: SpeechFigure | undefined;
	/** What kind of device it is. */
	kind: string;
}

/** What to tell a device. */
export interface Offer {
	device: string;
	bundle: string;
	revision: number;
}

/** What somebody asks of a rollout. */
export type Order =
	| { do: "pause" }
	| { do: "resume"; force?: boolean }
	| { do: "abort"; back?: boolean };

/** An energy gate that cannot decide is given this many soaks. */
const PATIENCE = 4;

/**
 * The next step of a rollout: what changed, and whom to tell. Pure.
 *
 * INVARIANTS
 * - A device is offered the bundle only in its wave or later, at most `tries` times, and never while
 *   the rollout is paused, held or aborted.
 * - The next wave begins only after every device of this one is good or failed, the soak has passed
 *   and both gates let it; a device that is silent is failed at its deadline.
 * - Revisions only rise.
 */
export function step(
	before: RolloutState,
	view: ReadonlyMap<string, Seen>,
	now: number,
): { state: RolloutState; offers: Offer[] } {
	const state: RolloutState = { ...before, devices: { ...before.devices } };
	if (state.status === "aborted") return { state: before, offers: [] };
	join(state, view, now);
	for (const [device, progress] of Object.entries(state.devices)) {
		const next = judge(state, progress, view.get(device), now);
		if (next !== progress) state.devices[device] = next;
	}
	if (state.status === "running") advance(state, view, now);
	const offers =
		state.status === "running" || state.status === "done"
			? offer(state, view, now)
			: [];
	return { state: changed(before, state, now), offers };
}

/** Somebody's order. Pure. @returns also whom to tell: with `back`, to return to the voice before */
export function obey(
	before: RolloutState,
	order: Order,
	now: number,
): { state: RolloutState; offers: Offer[] } {
	const state = { ...before, updatedAt: now };
	if (before.status === "aborted") return { state: before, offers: [] };
	switch (order.do) {
		case "pause":
			if (before.status !== "running") return { state: before, offers: [] };
			return {
				state: { ...state, status: "paused", why: "paused" },
				offers: [],
			};
		case "resume":
			if (before.status === "done") return { state: before, offers: [] };
			return {
				state: {
					...{ ...state, status: "running", why: "" },
					force: order.force ?? false,
					// watched again from here on
					settledAt: before.settledAt === null ? null : now,
				},
				offers: [],
			};
		case "abort": {
			const { previous } = before.spec;
			const revision = Math.max(now, before.revision + 1);
			const back = order.back && previous !== null;
			const offers = back
				? Object.entries(before.devices)
						.filter(([, p]) => p.revision !== null)
						.map(([device]) => ({ device, bundle: previous, revision }))
				: [];
			return {
				state: {
					...{ ...state, status: "aborted" },
					why: back ? "aborted; told to go back" : "aborted",
					revision: back ? revision : before.revision,
				},
				offers,
			};
		}
	}
}

/** Who is heard of for the first time comes with the next wave; after the last, at once. */
function join(
	state: RolloutState,
	view: ReadonlyMap<string, Seen>,
	now: number,
): void {
	const { devices, classes, waves } = state.spec;
	if (devices !== null) return;
	const last = waves.length - 1;
	for (const [device, { kind }] of view)
		if (!classes || classes.includes(kind))
			state.devices[device] ??= waiting(Math.min(state.wave + 1, last), now);
}

/** Troubles that a device gets over by itself, or not: that is judged at its deadline. */
const PASSING: ReadonlySet<string> = new Set([
	"E_BROKER",
	"E_BUDGET",
	"E_BUSY",
	"E_INTERRUPTED",
	"E_PULL",
	"E_TIMEOUT",
]);

/** What became of a device. */
function judge(
	{ spec }: RolloutState,
	progress: Progress,
	seen: Seen | undefined,
	now: number,
): Progress {
	const { status, revision, deadline } = progress;
	if (status === "waiting" || revision === null) return progress;
	const reported = seen?.reported;
	const heard = (reported?.revision ?? 0) >= revision;
	const because = reported?.reason
		? `${reported.reason.code}: ${reported.reason.message}`
		: "";
	const as = (next: "good" | "failed", why: string): Progress =>
		next === status && why === progress.why
			? progress
			: { ...progress, status: next, why, since: now };
	if (heard && reported?.bundle === spec.bundle && reported.state === "active")
		return as("good", "");
	const late = deadline !== null && now >= deadline;
	const passing = !late && PASSING.has(reported?.reason?.code ?? "");
	if (heard && reported?.state === "failed" && !passing)
		return as("failed", because || "failed without a reason");
	if (status === "good" && heard && reported?.bundle !== spec.bundle)
		return as("failed", `fell back${because && `; ${because}`}`);
	if (status === "offered" && late)
		return as(
			"failed",
			heard
				? `${reported?.state} at its deadline${because && `; ${because}`}`
				: "silent until its deadline",
		);
	return progress;
}

/** On to the next wave, when this one has shown that it may. */
function advance(
	state: RolloutState,
	view: ReadonlyMap<string, Seen>,
	now: number,
): void {
	const { spec, wave } = state;
	const mine = Object.values(state.devices).filter((p) => p.wave <= wave);
	if (mine.some((p) => p.status === "waiting" || p.status === "offered")) {
		state.settledAt = null;
		const open = mine.filter((p) => p.status === "offered").length;
		state.why = open > 0 ? `${open} devices have yet to answer` : "";
		return;
	}
	state.settledAt ??= now;
	const health = healthGate(state, now);
	if (health.verdict === "fail" && !pass(state, health)) return;
	const until = state.settledAt + spec.soakMs;
	if (now < until && !state.force) {
		state.why = `watching until ${new Date(until).toISOString().slice(11, 16)} UTC`;
		return;
	}
	if (health.verdict === "pass") record(state, health);
	const last = wave === spec.waves.length - 1;
	const energy = energyGate(state, view, now);
	// behind the last wave nobody is left to compare with, and nobody to protect
	const needless = energy.verdict === "unknown" && !spec.requireEnergy;
	const lets = energy.verdict === "pass" || needless || last;
	// devices that have not spoken enough may yet
	const unclear = energy.verdict === "wait" || energy.verdict === "unknown";
	if (!lets && unclear && !state.force) {
		if (now < state.settledAt + PATIENCE * spec.soakMs) {
			state.why = `not clear yet: ${energy.why}`;
			return;
		}
		energy.why = `not clear after ${PATIENCE} soaks: ${energy.why}`;
	}
	if (!lets && !pass(state, energy)) return;
	if (lets) record(state, energy);
	state.force = false;
	state.settledAt = null;
	state.why = "";
	if (last) state.status = "done";
	else state.wave = wave + 1;
}

/** A gate that said no holds the rollout, unless somebody said to pass it over. */
function pass(state: RolloutState, gate: GateResult): boolean {
	const said = state.force
		? { ...gate, why: `passed over: ${gate.why}` }
		: gate;
	record(state, said);
	if (state.force) return true;
	state.status = "held";
	state.why = gate.why;
	return false;
}

function record(state: RolloutState, gate: GateResult): void {
	const others = state.gates.filter(
		(g) => g.wave !== gate.wave || g.gate !== gate.gate,
	);
	state.gates = [...others, gate];
}

/** Whom to tell now: who waits in a wave that is open, and who failed and may try again. */
function offer(
	state: RolloutState,
	view: ReadonlyMap<string, Seen>,
	now: number,
): Offer[] {
	const { spec } = state;
	const revision = Math.max(now, state.revision + 1);
	const offers: Offer[] = [];
	for (const [device, progress] of Object.entries(state.devices)) {
		if (progress.wave > state.wave) continue;
		const again =
			progress.status === "failed" &&
			progress.tries < spec.tries &&
			now >= progress.since + spec.retryMs &&
			view.get(device)?.online !== false;
		if (progress.status !== "waiting" && !again) continue;
		state.devices[device] = {
			...{ ...progress, status: "offered", revision, since: now, why: "" },
			...{ tries: progress.tries + 1, deadline: now + spec.deadlineMs },
		};
		offers.push({ device, bundle: spec.bundle, revision });
	}
	if (offers.length > 0) state.revision = revision;
	return offers;
}

/** The same object when nothing changed, so that nothing is written. */
function changed(
	before: RolloutState,
	after: RolloutState,
	now: number,
): RolloutState {
	const keys = Object.keys(after.devices);
	const same =
		keys.length === Object.keys(before.devices).length &&
		keys.every((key) => before.devices[key] === after.devices[key]) &&
		FIELDS.every((field) => before[field] === after[field]);
	return same ? before : { ...after, updatedAt: now };
}

/** What a step may change beside devices. */
const FIELDS = [
	"status",
	"why",
	"wave",
	"settledAt",
	"force",
	"gates",
	"revision",
] as const;
