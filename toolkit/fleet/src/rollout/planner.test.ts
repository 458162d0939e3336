import test from "ava";
import fc from "fast-check";
import { obey, type Seen, step } from "./planner.ts";
import { type Faults, simulate } from "./simulate.ts";
import {
	beginning,
	ROLLOUT_DEFAULTS,
	type RolloutSpec,
	type RolloutState,
} from "./spec.ts";

const NEW = "a".repeat(64);
const OLD = "b".repeat(64);
const MINUTE = 60_000;
const T0 = Date.UTC(2026, 4, 1);

function spec(part: Partial<RolloutSpec> = {}): RolloutSpec {
	return {
		...ROLLOUT_DEFAULTS,
		...{ id: "r", fleet: "home", bundle: NEW, store: "store" },
		...{ previous: OLD, devices: null, waves: [0.25, 1] },
		...part,
	};
}

/** A fleet that a test moves by hand. */
class Hand {
	state: RolloutState;
	now = T0;
	readonly view = new Map<string, Seen>();
	readonly told: { device: string; bundle: string; revision: number }[] = [];

	constructor(part: Partial<RolloutSpec> = {}, devices = 8) {
		const names = Array.from({ length: devices }, (_, i) => `d${i}`);
		for (const name of names) this.see(name);
		this.state = beginning(spec(part), names, this.now);
	}
	see(
		device: string,
		part: Partial<NonNullable<Seen["reported"]>> = {},
		rest: Partial<Seen> = {},
	) {
		this.view.set(device, {
			...{ online: true, kind: "nano" },
			reported: { bundle: OLD, revision: 1, state: "active", ...part },
			...rest,
		});
	}
	good(device: string) {
		const revision = this.state.devices[device]?.revision ?? 0;
		this.see(device, { bundle: NEW, revision });
	}
	/** @returns whom this step told */
	step(ms = 0): string[] {
		this.now += ms;
		const { state, offers } = step(this.state, this.view, this.now);
		this.state = state;
		this.told.push(...offers);
		return offers.map((o) => o.device);
	}
	wave(n: number) {
		return Object.entries(this.state.devices)
			.filter(([, p]) => p.wave === n)
			.map(([device]) => device);
	}
}

test("waves go out one after the other, each after the last has settled and soaked", (t) => {
	const h = new Hand();
	const canary = h.wave(0);
	t.is(canary.length, 2);
	t.deepEqual(h.step().sort(), [...canary].sort());
	t.deepEqual(h.step(MINUTE), []);
	for (const d of canary) h.good(d);
	t.deepEqual(h.step(MINUTE), []);
	t.regex(h.state.why, /watching until/);
	t.is(h.step(ROLLOUT_DEFAULTS.soakMs).length, 6);
	for (const d of h.wave(1)) h.good(d);
	h.step(MINUTE);
	h.step(ROLLOUT_DEFAULTS.soakMs);
	t.is(h.state.status, "done");
	t.deepEqual(
		h.state.gates.map((g) => [g.wave, g.gate, g.verdict]),
		[
			[0, "health", "pass"],
			[0, "energy", "unknown"],
			[1, "health", "pass"],
			[1, "energy", "unknown"],
		],
	);
	t.is(h.step(MINUTE).length, 0);
	t.is(
		h.state,
		step(h.state, h.view, h.now).state,
		"nothing changed: the same object",
	);
});

test("a silent device has failed at its deadline, and its wave is held", (t) => {
	const h = new Hand();
	const [first = "", silent = ""] = h.wave(0);
	h.step();
	h.good(first);
	h.step(ROLLOUT_DEFAULTS.deadlineMs - 1);
	t.is(h.state.devices[silent]?.status, "offered");
	h.step(1);
	t.like(h.state.devices[silent], {
		status: "failed",
		why: "silent until its deadline",
	});
	t.is(h.state.status, "held");
	t.regex(h.state.why, /1 of 2 devices failed, 5 % may/);
	t.deepEqual(h.step(24 * 60 * MINUTE), [], "held: nobody is offered anything");
	// it comes back with the voice: the gates judge anew
	h.good(silent);
	h.state = obey(h.state, { do: "resume" }, h.now).state;
	h.step();
	t.is(h.step(ROLLOUT_DEFAULTS.soakMs).length, 6);
});

test("a device that failed or fell back is offered again, so often and not more", (t) => {
	const h = new Hand({ maxFailed: 1, tries: 2 });
	h.step();
	for (const d of h.wave(0)) h.good(d);
	h.step(MINUTE);
	const [back = ""] = h.wave(0);
	const first = h.state.devices[back]?.revision ?? 0;
	h.see(back, {
		bundle: OLD,
		revision: first,
		state: "failed",
		reason: { code: "E_GOLDEN", message: "off" },
	});
	h.step(MINUTE);
	t.like(h.state.devices[back], { status: "failed", why: "E_GOLDEN: off" });
	h.step(ROLLOUT_DEFAULTS.retryMs - 1);
	t.is(h.told.filter((o) => o.device === back).length, 1);
	h.step(1);
	t.is(h.told.filter((o) => o.device === back).length, 2);
	t.true((h.state.devices[back]?.revision ?? 0) > first);
	h.step(10 * 60 * MINUTE);
	h.step(10 * 60 * MINUTE);
	t.is(h.told.filter((o) => o.device === back).length, 2);
});

test("who joins late comes with the next wave, and at once after the last", (t) => {
	const h = new Hand();
	h.step();
	h.see("late");
	t.deepEqual(h.step(), []);
	t.is(h.state.devices.late?.wave, 1);
	for (const w of [0, 1]) {
		for (const d of h.wave(w)) h.good(d);
		h.step(MINUTE);
		h.step(ROLLOUT_DEFAULTS.soakMs);
		if (w === 0) for (const d of h.wave(1)) h.good(d);
	}
	t.is(h.state.status, "done");
	h.see("later");
	t.deepEqual(h.step(), ["later"]);
	const named = new Hand({ devices: ["d0"] });
	named.see("stranger");
	named.step();
	t.false("stranger" in named.state.devices);
});

test("pause stops offers, resume goes on, abort ends it and can go back", (t) => {
	const h = new Hand();
	h.step();
	const order = (o: Parameters<typeof obey>[1]) => {
		const got = obey(h.state, o, h.now);
		h.state = got.state;
		return got.offers;
	};
	order({ do: "pause" });
	for (const d of h.wave(0)) h.good(d);
	t.deepEqual(h.step(24 * 60 * MINUTE), []);
	t.is(h.state.status, "paused");
	order({ do: "resume" });
	h.step();
	t.is(h.step(ROLLOUT_DEFAULTS.soakMs).length, 6);
	const before = h.state.revision;
	const back = order({ do: "abort", back: true });
	t.is(back.length, 8);
	t.true(back.every((o) => o.bundle === OLD && o.revision > before));
	t.is(h.state.status, "aborted");
	t.deepEqual(h.step(24 * 60 * MINUTE), []);
	t.deepEqual(order({ do: "resume" }), []);
	t.is(h.state.status, "aborted");
});

/** Canaries and controls that speak at a given cost. */
function spoken(
	ratio: number,
	sensors = true,
	workload: (mine: boolean, cost: number) => Seen["workload"] = () => undefined,
	runtime?: (mine: boolean) => string,
) {
	const h = new Hand({ waves: [0.5, 1] }, 40);
	h.step();
	const cost = (i: number) => 2 * (1 + (i % 5) / 50);
	[...h.view.keys()].forEach((d, i) => {
		const mine = h.state.devices[d]?.wave === 0;
		if (mine) h.good(d);
		const seen = h.view.get(d);
		if (seen && sensors)
			h.view.set(d, {
				...seen,
				reported: seen.reported && {
					...seen.reported,
					...(runtime && { runtime: { name: runtime(mine) } }),
				},
				speech: { joules: 60 * cost(i) * (mine ? ratio : 1), audioSeconds: 60 },
				workload: workload(mine, cost(i)),
			});
	});
	h.step(MINUTE);
	h.step(ROLLOUT_DEFAULTS.soakMs);
	return h;
}

test("the energy gate: cheaper passes, dearer is held with its figures, unclear waits, unmeasured is unknown", (t) => {
	const well = spoken(1.0);
	t.is(well.state.wave, 1);
	t.like(well.state.gates[1], { gate: "energy", verdict: "pass" });
	const dear = spoken(1.3);
	t.is(dear.state.status, "held");
	t.regex(
		dear.state.why,
		/\+\d+\.\d % \(95 %: \+\d+\.\d % to \+\d+\.\d %\).*20 devices against 20; \+10\.0 % is allowed/,
	);
	const none = () => undefined;
	const alike = spoken(1.0, true, none, () => "tensorrt");
	t.like(alike.state.gates[1], { verdict: "pass" });
	// the new voice waits for its engine: by the old one's it would look dear
	const waiting = spoken(1.3, true, none, (mine) =>
		mine ? "onnxruntime" : "tensorrt",
	);
	t.not(waiting.state.gates[1]?.verdict, "fail");
	t.notRegex(waiting.state.why, /joules per second of speech by/);
	const unclear = spoken(1.1);
	t.is(unclear.state.status, "running");
	t.regex(unclear.state.why, /not clear yet/);
	unclear.step(3 * ROLLOUT_DEFAULTS.soakMs);
	t.is(unclear.state.status, "held");
	t.regex(unclear.state.why, /not clear after 4 soaks/);
	unclear.state = obey(
		unclear.state,
		{ do: "resume", force: true },
		unclear.now,
	).state;
	unclear.step();
	t.is(unclear.state.wave, 1);
	t.regex(unclear.state.gates.at(-1)?.why ?? "", /passed over: /);
	const blind = spoken(1.3, false);
	t.is(blind.state.wave, 1);
	t.like(blind.state.gates[1], { verdict: "unknown" });
	const strict = new Hand({ requireEnergy: true });
	strict.step();
	for (const d of strict.wave(0)) strict.good(d);
	strict.step(MINUTE);
	strict.step(ROLLOUT_DEFAULTS.soakMs);
	t.is(strict.state.status, "running", "they may yet speak");
	strict.step(3 * ROLLOUT_DEFAULTS.soakMs);
	t.is(strict.state.status, "held");
	t.regex(strict.state.why, /not clear after 4 soaks: 0 with the new voice/);
});

test("the energy gate goes by what devices measured of the fixed workload, under the same conditions", (t) => {
	const figure = (value: number, powerMode: string | null) => ({
		...{
			gross: { value, plusMinus: 0.01 },
			marginal: { value, plusMinus: 0.01 },
		},
		...{ pace: { value: 0.1, plusMinus: 0 }, sensor: "ina3221" },
		...{ runtime: "onnxruntime, 1 thread", powerMode },
		...{ temperature: "40 to 60 °C", at: "2026-01-01T00:00:00Z" },
	});
	// by shares of busy time all is well
	const dear = spoken(1, true, (mine, cost) =>
		figure(cost * (mine ? 1.3 : 1), "15W"),
	);
	t.is(dear.state.status, "held");
	t.regex(dear.state.why, /by the fixed workload, 20 devices against 20/);
	const well = spoken(1.3, true, (_, cost) => figure(cost, "15W"));
	t.is(well.state.wave, 1);
	for (const mode of ["MAXN", null]) {
		const other = spoken(1, true, (mine, cost) =>
			figure(cost * 1.3, mine ? mode : "15W"),
		);
		t.is(other.state.wave, 1);
		t.regex(other.state.gates[1]?.why ?? "", /by shares of busy time/);
	}
});

test("over thousands of faulty devices the planner ends, keeps its waves and its tries", (t) => {
	const played = simulate(spec({ waves: [0.05, 0.5, 1] }), 1200);
	t.is(played.state.status, "done", played.state.why);
	const all = Object.values(played.state.devices);
	t.is(all.length, 1200);
	t.true(all.every((p) => p.tries >= 1 && p.tries <= 3));
	t.true(all.every((p) => p.status === "good" || p.tries === 3));
	t.true(all.filter((p) => p.status === "good").length > 1150);
	t.is(
		played.offers,
		all.reduce((sum, p) => sum + p.tries, 0),
	);
	const dear = simulate(spec({ waves: [0.1, 1] }), 400, { energyRatio: 1.25 });
	t.is(dear.state.status, "held");
	t.is(dear.state.wave, 0);
	t.is(dear.offers <= 60, true);
	const bad = simulate(spec({ waves: [0.1, 1] }), 400, { golden: 0.3 });
	t.is(bad.state.status, "held");
	t.regex(bad.state.why, /devices failed/);
});

test("whatever goes wrong: nobody is offered out of turn, and revisions only rise", (t) => {
	const share = fc.double({ min: 0, max: 0.15, noNaN: true });
	fc.assert(
		fc.property(
			fc.record<Partial<Faults>>({
				...{ silent: share, golden: share, diskFull: share },
				...{ fallsBack: share, away: share, late: share },
				measured: fc.double({ min: 0, max: 1, noNaN: true }),
				energyRatio: fc.double({ min: 0.8, max: 1.4, noNaN: true }),
			}),
			fc.integer(),
			(faults, seed) => {
				const { state, offers } = simulate(
					spec({ waves: [0.1, 0.4, 1] }),
					60,
					faults,
					seed,
				);
				t.true(["held", "done"].includes(state.status), state.status);
				const all = Object.values(state.devices);
				t.is(
					offers,
					all.reduce((sum, p) => sum + p.tries, 0),
				);
				for (const p of all) {
					t.true(p.tries <= state.spec.tries);
					t.true(p.wave <= state.wave || p.tries === 0);
					t.true((p.revision ?? 0) <= state.revision);
				}
				const judged = state.gates.filter(
					(g) => g.verdict === "pass" || g.verdict === "unknown",
				);
				if (state.status === "done") t.true(judged.length >= 6);
			},
		),
		{ numRuns: 15 },
	);
});
