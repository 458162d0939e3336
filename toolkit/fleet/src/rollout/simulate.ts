import { WattvoxError } from "@wattvox/core";
import { type Offer, type Seen, step } from "./planner.ts";
import { beginning, type RolloutSpec, type RolloutState } from "./spec.ts";

/** Shares of devices that go wrong in each way. */
export interface Faults {
	/** Never answers an offer. */
	silent: number;
	/** Its golden sentences fail, every time. */
	golden: number;
	/** Fails the first time, with too little room, and not the second. */
	diskFull: number;
	/** Speaks with it, and falls back within the hour. */
	fallsBack: number;
	/** Is away when it is offered, for up to two deadlines. */
	away: number;
	/** Is first heard of after the rollout began. */
	late: number;
	/** Has a sensor. */
	measured: number;
	/** Joules per second of speech with the new voice over those with the old. */
	energyRatio: number;
}

export const FAULTS: Faults = {
	...{ silent: 0.003, golden: 0.003, diskFull: 0.005, fallsBack: 0.003 },
	...{ away: 0.02, late: 0.02, measured: 0.9, energyRatio: 1.02 },
};

export interface Simulation {
	state: RolloutState;
	/** Simulated milliseconds from the beginning to the end. */
	took: number;
	/** One line for every change that people would want to see. */
	events: { at: number; what: string }[];
	offers: number;
}

/** Simulated time between two steps, and the longest rollout. */
const TICK_MS = 30_000;
const MOST_MS = 14 * 24 * 3_600_000;

interface Device {
	name: string;
	kind: string;
	base: number;
	measured: boolean;
	fault: "silent" | "golden" | "diskFull" | "fallsBack" | "away" | "none";
	joinsAt: number;
	offer: Offer | undefined;
	doneAt: number;
	tries: number;
	fellBack: boolean;
	fallsAt: number;
	joules: number;
	audio: number;
	bundle: string | null;
	state: string;
	revision: number | null;
	reason: { code: string; message: string } | undefined;
}

/**
 * Plays the planner that runs rollouts over devices that do not exist, faults and all.
 * @param devices how many
 * @param seed equal seeds give equal runs
 * @throws WattvoxError E_USAGE; the signal's reason
 */
export function simulate(
	spec: RolloutSpec,
	devices: number,
	faults: Partial<Faults> = {},
	seed = 1,
	signal?: AbortSignal,
): Simulation {
	if (!Number.isSafeInteger(devices) || devices < 1)
		throw new WattvoxError("E_USAGE", "simulate one device at least");
	const start = Date.UTC(2026, 0, 1);
	const random = generator(seed);
	const house = Array.from({ length: devices }, (_, i) =>
		make(i, { ...FAULTS, ...faults }, start, spec, random),
	);
	const byName = new Map(house.map((d) => [d.name, d]));
	const events: Simulation["events"] = [];
	const energyRatio = faults.energyRatio ?? FAULTS.energyRatio;
	let offered = 0;
	let state = beginning(
		{ ...spec, devices: null, classes: null },
		house.filter((d) => d.joinsAt <= start).map((d) => d.name),
		start,
	);
	let settled: number | null = null;
	let now = start;
	for (; now < start + MOST_MS; now += TICK_MS) {
		signal?.throwIfAborted();
		if (settled !== state.settledAt) {
			settled = state.settledAt;
			for (const d of house) d.joules = d.audio = 0;
		}
		const view = new Map<string, Seen>();
		for (const d of house) {
			if (d.joinsAt > now) continue;
			live(d, now, spec, energyRatio, random);
			view.set(d.name, look(d, now));
		}
		const next = step(state, view, now);
		tell(state, next.state, now - start, events);
		state = next.state;
		for (const offer of next.offers) {
			offered++;
			const d = byName.get(offer.device);
			if (d) receive(d, offer, now, spec, random);
		}
		if (state.status === "held") break;
		const open = Object.values(state.devices).some(
			(p) =>
				p.status === "offered" ||
				(p.status === "failed" && p.tries < spec.tries) ||
				p.status === "waiting",
		);
		if (state.status === "done" && !open) break;
	}
	return { state, took: now - start, events, offers: offered };
}

function make(
	i: number,
	faults: Faults,
	start: number,
	spec: RolloutSpec,
	random: () => number,
): Device {
	let dice = random();
	const fault =
		(["silent", "golden", "diskFull", "fallsBack", "away"] as const).find(
			(name) => {
				dice -= faults[name];
				return dice < 0;
			},
		) ?? "none";
	const kind = random() < 0.7 ? "orin-nano" : "agx-orin";
	return {
		...{ name: `device-${String(i + 1).padStart(5, "0")}`, kind, fault },
		base: (kind === "orin-nano" ? 2 : 3) * Math.exp(0.1 * normal(random)),
		measured: random() < faults.measured,
		joinsAt:
			random() < faults.late ? start + random() * 8 * spec.soakMs : start,
		...{ offer: undefined, doneAt: 0, tries: 0, fellBack: false, fallsAt: 0 },
		...{ joules: 0, audio: 0, bundle: "old", state: "active" },
		...{ revision: 1, reason: undefined },
	};
}

function receive(
	d: Device,
	offer: Offer,
	now: number,
	spec: RolloutSpec,
	random: () => number,
): void {
	d.offer = offer;
	d.tries++;
	const pull = spec.deadlineMs * (0.05 + 0.3 * random());
	const awayFor =
		d.fault === "away" && d.tries === 1 ? 2 * spec.deadlineMs * random() : 0;
	d.doneAt =
		d.fault === "silent" ? Number.POSITIVE_INFINITY : now + pull + awayFor;
}

function live(
	d: Device,
	now: number,
	spec: RolloutSpec,
	ratio: number,
	random: () => number,
): void {
	const seconds = (TICK_MS / 1000) * 0.05;
	d.audio += seconds;
	d.joules +=
		seconds *
		d.base *
		(d.bundle === spec.bundle ? ratio : 1) *
		Math.exp(0.05 * normal(random));
	if (d.offer && now >= d.doneAt) {
		d.revision = d.offer.revision;
		d.offer = undefined;
		d.reason = undefined;
		if (d.fault === "golden" || (d.fault === "diskFull" && d.tries === 1)) {
			const code = d.fault === "golden" ? "E_GOLDEN" : "E_DISK_FULL";
			d.state = "failed";
			d.reason = { code, message: "simulated" };
		} else {
			d.state = "active";
			d.bundle = spec.bundle;
			d.fallsAt =
				d.fault === "fallsBack" && !d.fellBack
					? now + random() * 3_600_000
					: Number.POSITIVE_INFINITY;
		}
	}
	if (d.bundle === spec.bundle && now >= d.fallsAt) {
		d.fellBack = true;
		d.bundle = "old";
		d.reason = { code: "E_GOLDEN", message: "simulated, an hour later" };
	}
}

function look(d: Device, now: number): Seen {
	return {
		online: d.fault !== "silent" || now % (7 * TICK_MS) !== 0,
		reported: {
			...{ bundle: d.bundle, revision: d.revision, state: d.state },
			reason: d.reason,
		},
		speech: d.measured
			? { joules: d.joules, audioSeconds: d.audio }
			: undefined,
		kind: d.kind,
	};
}

function tell(
	before: RolloutState,
	after: RolloutState,
	at: number,
	events: Simulation["events"],
): void {
	if (after.gates !== before.gates)
		for (const gate of after.gates)
			if (!before.gates.includes(gate))
				events.push({
					at,
					what: `wave ${gate.wave + 1}, ${gate.gate} ${gate.verdict}: ${gate.why}`,
				});
	if (after.wave !== before.wave)
		events.push({ at, what: `wave ${after.wave + 1} begins` });
	if (after.status !== before.status) events.push({ at, what: after.status });
}

/** mulberry32: small, and the same everywhere. */
export function generator(seed: number): () => number {
	let s = seed | 0;
	return () => {
		s = (s + 0x6d2b79f5) | 0;
		let z = Math.imul(s ^ (s >>> 15), 1 | s);
		z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
		return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
	};
}

function normal(random: () => number): number {
	return (
		Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
	);
}
