import { encode, topic } from "@wattvox/link";
import type { PowerFeed } from "../collector.ts";
import { LiveFleet } from "../live/live-fleet.ts";
import { DuckDb } from "../power/duckdb.ts";
import type { PowerPoint } from "../power/point.ts";
import { SqlPowerStore } from "../power/sql-store.ts";
import type { RolloutView } from "../rollout/view.ts";
import type { MeasuredVoice, VoiceCosts } from "./voice-costs.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const CLASSES = ["orin-nano", "orin-nano", "orin-nx", "agx-orin", "raspberry"];
const PLACES = ["atrium", "bakery", "garage", "harbour", "kitchen", "library"];

/** A made-up fleet with a history: for tests of the dashboard, and for its pictures. */
export interface TestFleet {
	store: SqlPowerStore;
	live: LiveFleet;
	rollouts: () => Promise<RolloutView[]>;
	voices: () => Promise<VoiceCosts[]>;
	now: () => number;
	/** Says something as a device would. */
	say(
		device: string,
		kind: "presence" | "reported" | "desired",
		message: object,
	): void;
	stop(): Promise<void>;
}

/** The digest of the made-up voice `n`. */
export function voice(n: number): string {
	return ["3fa9c1d27be0", "b81e07a45c93", "d0547fe291ac"]
		.map((start) => start.padEnd(64, "0"))
		.at(n % 3) as string;
}

/** @param now when the history ends */
export async function testFleet(
	now = Date.UTC(2026, 4, 20, 14, 26),
	devices = 60,
	days = 14,
): Promise<TestFleet> {
	const store = new SqlPowerStore({
		database: new DuckDb({ path: ":memory:" }),
		now: () => now,
	});
	await store.start();
	const handlers: Parameters<PowerFeed["subscribe"]>[1][] = [];
	const live = new LiveFleet({
		link: {
			async subscribe(_, handler) {
				handlers.push(handler);
				return async () => undefined;
			},
		},
		now: () => now,
	});
	await live.start();
	const say: TestFleet["say"] = (device, kind, message) =>
		void handlers[0]?.(topic("home", device, kind), encode(message));
	for (let i = 0; i < devices; i++) {
		const points = history(i, now, days);
		await store.write(points);
		for (const p of points.slice(-2)) live.point(p, now - (i % 7) * 4000);
		state(i, now, say);
	}
	return {
		...{ store, live, say },
		rollouts: async () => [rolloutSample(now)],
		voices: async () => voicesSample(now),
		now: () => now,
		stop: () => store.stop(),
	};
}

function nameOf(i: number): string {
	return `${PLACES[i % PLACES.length]}-${String(Math.floor(i / PLACES.length) + 1).padStart(2, "0")}`;
}

function history(i: number, now: number, days: number): PowerPoint[] {
	const deviceClass = CLASSES[i % CLASSES.length] ?? null;
	// a Raspberry Pi has no sensor
	const measured = deviceClass !== "raspberry";
	const idle = [1.9, 2.1, 2.4, 4.2, 1.4][i % 5] ?? 2;
	const perSecond =
		([1.9, 2.1, 1.6, 2.7, 3.4][i % 5] ?? 2) * (1 + (i % 3) * 0.07);
	const start = Math.floor((now - days * DAY) / DAY) * DAY;
	const points: PowerPoint[] = [];
	let [mj, speech, audio, sequence] = [0, 0, 0, 0];
	for (let at = start; at < now; at += HOUR) {
		const hour = new Date(at).getUTCHours();
		const awake = Math.max(0.04, Math.sin(((hour - 5) / 24) * 2 * Math.PI));
		const weekend = [0, 6].includes(new Date(at).getUTCDay()) ? 0.35 : 1;
		const said = Math.round(
			900 * awake * weekend * (0.7 + ((i * 7 + hour) % 5) / 8),
		);
		audio += said * 1000;
		speech += Math.round(said * perSecond * 1000);
		mj += Math.round(said * perSecond * 1000 + idle * 3600 * 1000);
		points.push({
			...{
				fleet: "home",
				device: nameOf(i),
				boot: "b1",
				measured,
				deviceClass,
			},
			sensor: measured ? "ina3221" : "estimate",
			voice: voice(i),
			sequence: sequence++,
			...{ millijoules: mj, speechMillijoules: speech },
			...{ utterances: Math.round(audio / 2600), audioMs: audio },
			computeMs: Math.round(audio * 0.15),
			at: at + 59 * 60_000,
		});
	}
	return points.filter((p) => p.at <= now);
}

function state(i: number, now: number, say: TestFleet["say"]): void {
	const device = nameOf(i);
	const at = new Date(now - i * 1000).toISOString();
	const bundle = voice(i);
	const off = i % 23 === 9;
	say(device, "presence", { v: 1, online: !off, session: 1 });
	const signed = JSON.stringify({
		...{ v: 1, fleet: "home", device, bundle, store: "store", revision: 7, at },
	});
	say(device, "desired", { v: 1, signed, signature: {} });
	const trouble: Record<number, object> = {
		4: {
			state: "failed",
			bundle: voice(i + 1),
			reason: {
				code: "E_GOLDEN",
				message:
					"sentence 2 is 3.1 dB from how it was spoken where the voice was made",
			},
		},
		17: { state: "pulling", bundle: null, progress: { done: 61, total: 100 } },
		31: {
			state: "failed",
			bundle: voice(i + 2),
			reason: { code: "E_DISK_FULL", message: "needs 92 MB, 40 MB are free" },
		},
		38: { state: "active", bundle: voice(i + 1), revision: 6 },
	};
	say(device, "reported", {
		...{ v: 1, bundle, revision: 7, state: "active", at },
		...trouble[i],
	});
}

function voicesSample(now: number): VoiceCosts[] {
	const one = (
		deviceClass: string,
		gross: number,
		part: Partial<MeasuredVoice> = {},
	): MeasuredVoice => ({
		...{ deviceClass, device: null, measured: true, sensor: "ina3221" },
		...{ made: new Date(now - DAY).toISOString(), signature: "trusted" },
		gross: { value: gross, plusMinus: gross / 50 },
		marginal: { value: gross / 2, plusMinus: gross / 40 },
		...{ powerMode: "15W", temperatureC: { before: 44, after: 52 } },
		trainingInSpeechSeconds: (1.21 * 3600) / gross,
		...part,
	});
	return [
		{
			...{ bundle: voice(0), voice: "ada" },
			training: { wattHours: 1.21, gramsCO2e: 0.46, measured: true },
			attestations: [
				one("agx-orin", 2.71),
				one("orin-nano", 1.93),
				one("raspberry", 3.4, {
					...{ measured: false, sensor: "estimate", signature: "unknown" },
					...{ powerMode: null, temperatureC: null },
				}),
				one("forged", 0.01, { signature: "bad", gross: null, marginal: null }),
			],
		},
		{
			...{ bundle: voice(1), voice: "ben", attestations: [] },
			training: { wattHours: null, gramsCO2e: null, measured: false },
		},
	];
}

function rolloutSample(now: number): RolloutView {
	const at = (minutes: number) =>
		new Date(now - minutes * 60_000).toISOString();
	return {
		...{ id: "ada-spring", fleet: "home", bundle: voice(0), status: "running" },
		// one that the fleet hears of, one that was never there
		underWay: [
			{ device: "library-03", why: "" },
			{ device: "cellar-01", why: "" },
		],
		why: "the second wave has until 14:40 to report",
		...{ wave: 2, waves: 4 },
		counts: { waiting: 31, offered: 5, good: 22, failed: 2 },
		gates: [
			{
				...{ wave: 0, gate: "health", verdict: "pass", at: at(50) },
				why: "6 of 6 devices speak with it",
			},
			{
				...{ wave: 0, gate: "energy", verdict: "pass", at: at(50) },
				why: "at most 6.1 % more joules per second of speech, 10 % are allowed",
				comparison: {
					...{ canary: 6, control: 41, freedom: 8.2 },
					...{ ratio: 1.012, low: 0.965, high: 1.061 },
				},
			},
		],
		trouble: [
			{ device: "kitchen-01", why: "E_GOLDEN: sentence 2 is 3.1 dB off" },
			{ device: "garage-04", why: "silent since 14:02, past its deadline" },
		],
		...{ startedAt: at(95), updatedAt: at(1) },
	};
}
