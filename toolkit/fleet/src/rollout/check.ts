import { WattvoxError } from "@wattvox/core";
import { beginning, type RolloutSpec, type RolloutState } from "./spec.ts";

/** What is known of a device before a rollout begins. */
export interface KnownDevice {
	device: string;
	/** Null: it does not say. */
	deviceClass: string | null;
	/** Whether a sensor gives its joules; undefined: it does not say. */
	measured: boolean | undefined;
}

/**
 * Whom a rollout is for, if it makes sense as it was asked for. Pure.
 * @param known every device that the broker has heard of
 * @param others rollouts that there are already
 * @throws WattvoxError E_USAGE, E_BUSY
 */
export function checkRollout(
	spec: RolloutSpec,
	known: readonly KnownDevice[],
	others: readonly RolloutState[],
): string[] {
	const { id, fleet, classes, devices } = spec;
	if (others.some((o) => o.spec.id === id))
		throw new WattvoxError(
			"E_USAGE",
			`there is a rollout ${id}: resume it, or take another --id`,
		);
	const open = others.find(
		(o) =>
			o.spec.fleet === fleet && o.status !== "done" && o.status !== "aborted",
	);
	if (open)
		throw new WattvoxError(
			"E_BUSY",
			`rollout ${open.spec.id} of fleet ${fleet} is ${open.status}: two would tell devices two things. Let it end, or abort it`,
		);
	if (known.length === 0)
		throw new WattvoxError(
			"E_USAGE",
			`the broker has heard of no device of fleet ${fleet}`,
		);
	const heard = new Map(known.map((k) => [k.device, k]));
	const strangers = (devices ?? []).filter((d) => !heard.has(d));
	if (strangers.length > 0)
		throw new WattvoxError(
			"E_USAGE",
			`fleet ${fleet} has no device ${strangers.slice(0, 5).join(", ")}: it was never heard of`,
		);
	const said = [...new Set(known.map((k) => k.deviceClass ?? "unknown"))];
	for (const wanted of classes ?? [])
		if (!said.includes(wanted))
			throw new WattvoxError(
				"E_USAGE",
				`no device of fleet ${fleet} is of class ${wanted}; there are ${said.sort().join(", ")}`,
			);
	const chosen = (devices ?? [...heard.keys()]).filter(
		(d) => !classes || classes.includes(heard.get(d)?.deviceClass ?? ""),
	);
	if (chosen.length === 0)
		throw new WattvoxError(
			"E_USAGE",
			`none of the named devices is of class ${classes?.join(", ")}`,
		);
	if (spec.requireEnergy) checkEnergy(spec, chosen, heard);
	return chosen;
}

/** A gate that has to decide needs devices with sensors on both sides of it, of one class. */
function checkEnergy(
	spec: RolloutSpec,
	chosen: readonly string[],
	heard: ReadonlyMap<string, KnownDevice>,
): void {
	const { waves, leastDevices } = spec;
	const measured = chosen.filter((d) => heard.get(d)?.measured);
	if (measured.length === 0)
		throw new WattvoxError(
			"E_USAGE",
			"--require-energy: no device has a sensor, so no joules per second of speech will be measured",
		);
	const nameless = measured.filter((d) => !heard.get(d)?.deviceClass);
	if (nameless.length > 0)
		throw new WattvoxError(
			"E_USAGE",
			`--require-energy: ${nameless.slice(0, 5).join(", ")} does not say its device class, and joules are compared within one`,
		);
	const plan = beginning(spec, chosen, 0).devices;
	for (let wave = 0; wave < waves.length - 1; wave++) {
		const count = new Map<string, { canary: number; control: number }>();
		for (const device of measured) {
			const kind = heard.get(device)?.deviceClass ?? "";
			const of = count.get(kind) ?? { canary: 0, control: 0 };
			const group = (plan[device]?.wave ?? 0) <= wave ? "canary" : "control";
			of[group]++;
			count.set(kind, of);
		}
		// as the gate counts them: a class with fewer than two controls is left out
		const usable = [...count.values()].filter((c) => c.control >= 2);
		const canary = usable.reduce((sum, c) => sum + c.canary, 0);
		const control = usable.reduce((sum, c) => sum + c.control, 0);
		if (canary < leastDevices || control < leastDevices)
			throw new WattvoxError(
				"E_USAGE",
				`--require-energy: behind wave ${wave + 1} there are ${canary} devices with a sensor that have the new voice and ${control} of their classes that have not; the gate needs ${leastDevices} of each. Change --waves, or --least-devices`,
			);
	}
}
