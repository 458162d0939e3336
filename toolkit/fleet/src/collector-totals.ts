import { type PowerMessage, zPowerMessage } from "@wattvox/link";
import { z } from "zod";

/** Work and energy of the boots that are alike in how their energy is known. */
export interface Share {
	/** Joules since the boots began. */
	joules: number;
	/** The part of it drawn while speaking, as far as it was told apart. */
	speechJoules: number;
	/** Seconds of audio that `speechJoules` stand for. */
	speechAudioSeconds: number;
	/** Boots in this share. */
	boots: number;
}

/** One device, all its boots together. */
export interface DeviceTotals {
	device: string;
	/** Digest of the bundle it spoke with last; null: none. */
	voice: string | null;
	utterances: number;
	audioSeconds: number;
	computeSeconds: number;
	/** From sensors; null where no boot had one. */
	measured: Share | null;
	/** From an estimate; null where no boot used one. */
	estimated: Share | null;
	/** Boots whose energy nobody knows. */
	unknownBoots: number;
	sensors: string[];
	/** When the newest report was written, by the device's own clock. */
	at: string;
}

/** The file in which totals are kept. */
export const zSavedTotals = z.object({
	version: z.literal(1),
	latest: z.array(zPowerMessage),
});
export type SavedTotals = z.infer<typeof zSavedTotals>;

/**
 * Sums power messages per device over its boots.
 *
 * INVARIANTS
 * - Counts in a message are cumulative for its boot, so of each boot only the message with the
 *   highest sequence counts: lost, doubled, late and reordered messages change nothing.
 * - The totals depend on the set of messages alone, not on the order of their arrival, to the last bit.
 */
export class PowerTotals {
	readonly #devices = new Map<string, Map<string, PowerMessage>>();

	/** @returns whether it changed anything */
	add(message: PowerMessage): boolean {
		let boots = this.#devices.get(message.device);
		if (!boots) {
			boots = new Map();
			this.#devices.set(message.device, boots);
		}
		const known = boots.get(message.boot);
		if (known && !supersedes(message, known)) return false;
		boots.set(message.boot, message);
		return true;
	}

	/** Totals by device, in the order of the devices' names. */
	devices(): DeviceTotals[] {
		return [...this.#devices.entries()]
			.sort(([a], [b]) => compare(a, b))
			.map(([device, boots]) => total(device, [...boots.values()]));
	}

	save(): SavedTotals {
		return {
			version: 1,
			latest: [...this.#devices.values()].flatMap((b) => [...b.values()]),
		};
	}

	static restore(saved: SavedTotals): PowerTotals {
		const totals = new PowerTotals();
		for (const message of saved.latest) totals.add(message);
		return totals;
	}
}

function supersedes(message: PowerMessage, known: PowerMessage): boolean {
	if (message.sequence !== known.sequence)
		return message.sequence > known.sequence;
	// Two different messages with one sequence number are a device's fault; which one counts must
	// still not depend on the order in which they came.
	return compare(JSON.stringify(message), JSON.stringify(known)) > 0;
}

function total(device: string, boots: PowerMessage[]): DeviceTotals {
	// A fixed order makes floating-point sums the same every time.
	boots.sort((a, b) => compare(a.boot, b.boot));
	const newest = boots.reduce((a, b) => (b.at > a.at ? b : a));
	const known = boots.filter((b) => b.millijoules !== null);
	return {
		device,
		voice: newest.voice,
		utterances: sum(boots, (b) => b.utterances),
		audioSeconds: sum(boots, (b) => b.audioSeconds),
		computeSeconds: sum(boots, (b) => b.computeSeconds),
		measured: share(known.filter((b) => b.measured)),
		estimated: share(known.filter((b) => !b.measured)),
		unknownBoots: boots.length - known.length,
		sensors: [...new Set(known.map((b) => b.sensor))].sort(),
		at: newest.at,
	};
}

function share(boots: readonly PowerMessage[]): Share | null {
	if (boots.length === 0) return null;
	const told = boots.filter((b) => typeof b.speechMillijoules === "number");
	return {
		joules: sum(boots, (b) => b.millijoules ?? 0) / 1000,
		speechJoules: sum(told, (b) => b.speechMillijoules ?? 0) / 1000,
		speechAudioSeconds: sum(told, (b) => b.audioSeconds),
		boots: boots.length,
	};
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
	return items.reduce((total, item) => total + value(item), 0);
}

/** By code unit: the same on every machine, unlike a locale's order. */
function compare(a: string, b: string): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
