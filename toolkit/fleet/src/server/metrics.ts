import { collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Collector } from "../collector.ts";
import type { LiveFleet } from "../live/live-fleet.ts";
import type { PowerStore } from "../power/store.ts";
import { figures } from "../power-table.ts";

/** What Prometheus reads: made anew with every scrape. Unknown is NaN, never 0. */
export function metricsOf(parts: {
	live: LiveFleet;
	store: Pick<PowerStore, "usage">;
	collector?: Collector;
}): { contentType: string; text(): Promise<string> } {
	const { live, store, collector } = parts;
	const registry = new Registry();
	collectDefaultMetrics({ register: registry });
	const gauge = (name: string, help: string, label?: string) =>
		new Gauge({
			name: `wattvox_${name}`,
			help,
			registers: [registry],
			labelNames: label ? [label] : [],
		});
	const devices = gauge("devices", "Devices by state", "state");
	const online = gauge("devices_online", "Devices that are online");
	const watts = gauge("power_watts", "Power now", "kind");
	const covered = gauge(
		"power_devices",
		"Devices whose power is in the sum",
		"kind",
	);
	const joules = gauge("energy_joules_total", "Energy ever reported", "kind");
	const audio = gauge("speech_seconds_total", "Seconds of speech ever made");
	const utterances = gauge("utterances_total", "Utterances ever made");
	const reports = gauge(
		"collector_reports_total",
		"Power reports by what became of them",
		"what",
	);
	const pending = gauge("collector_pending", "Reports that wait for the store");
	const unknown = (value: number | null) => value ?? Number.NaN;
	return {
		contentType: registry.contentType,
		async text() {
			const now = live.summary();
			for (const [state, count] of Object.entries(now.byState))
				devices.set({ state }, count);
			online.set(now.online);
			watts.set({ kind: "measured" }, unknown(now.watts));
			watts.set({ kind: "estimated" }, unknown(now.estimatedWatts));
			covered.set({ kind: "measured" }, now.measured);
			covered.set({ kind: "estimated" }, now.powered - now.measured);
			const all = figures((await store.usage()).rows[0]);
			joules.set({ kind: "measured" }, unknown(all.joules));
			joules.set({ kind: "estimated" }, unknown(all.estimatedJoules));
			audio.set(all.audioSeconds);
			utterances.set(all.utterances);
			if (collector) {
				for (const [what, count] of Object.entries(collector.counters))
					reports.set({ what }, count);
				pending.set(collector.pending);
			}
			return registry.metrics();
		},
	};
}
