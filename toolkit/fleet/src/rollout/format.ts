import { facts, table } from "@wattvox/core";
import type { Simulation } from "./simulate.ts";
import { type RolloutView, rolloutView } from "./view.ts";

/** A rollout in one line. */
export function rolloutLine(view: RolloutView): string {
	const { good, offered, failed, waiting } = view.counts;
	const why = view.why ? `: ${view.why}` : "";
	return `${view.id} ${view.status}, wave ${view.wave} of ${view.waves}; ${good} good, ${offered} under way, ${failed} failed, ${waiting} waiting${why}`;
}

/** A rollout for a terminal: counts, gates with their figures, who is not there. */
export function formatRollout(view: RolloutView): string {
	const gates = view.gates.map((g) => [
		String(g.wave + 1),
		g.gate,
		g.verdict,
		g.why,
	]);
	const trouble = view.trouble.map((d): [string, string] => [
		`  ${d.device}`,
		d.why,
	]);
	return [
		rolloutLine(view),
		...(gates.length > 0
			? [table(["wave", "gate", "verdict", "why"], gates)]
			: []),
		...(trouble.length > 0
			? [`not where they should be:\n${facts(trouble)}`]
			: []),
	].join("\n\n");
}

/** What a rehearsal came to. */
export function formatSimulation({
	state,
	took,
	events,
	offers,
}: Simulation): string {
	const hours = (ms: number) => `${(ms / 3_600_000).toFixed(1)} h`;
	return [
		`${Object.keys(state.devices).length} made-up devices, ${offers} offers, ${hours(took)}`,
		table(
			["after", "what"],
			events.map((e) => [hours(e.at), e.what]),
			["right", "left"],
		),
		rolloutLine(rolloutView(state)),
	].join("\n\n");
}
