import { rm } from "node:fs/promises";
import { carriage } from "./disk-carriage.ts";
import { powerCuts } from "./disk-cuts.ts";
import { damage } from "./disk-damage.ts";
import { engines } from "./disk-engines.ts";
import { fleetSide } from "./disk-fleet.ts";
import { publishing } from "./disk-publishing.ts";
import { strangers } from "./disk-strangers.ts";
import { makeWorld, type World } from "./disk-world.ts";
import type { Findings } from "./simulated-disk.ts";

/** What the faults of the disk are made of, the quick ones first. */
const PARTS = {
	/** Signatures of nobody, and other things under a name. */
	strangers,
	/** Files that rot. */
	damage,
	/** Engines that rot, and other ones in their place. */
	engines,
	/** What a broker and a bucket keep. */
	fleet: fleetSide,
	/** Bundles that are written and put into a store while the power is cut. */
	publishing,
	/** Engines that come and go, and readings that wait, while the power is cut. */
	carriage,
	/** From a wish to a voice while the power is cut. */
	cuts: powerCuts,
} satisfies Record<
	string,
	(world: World, untilFirst: boolean) => Promise<Findings>
>;
export type Part = keyof typeof PARTS;

/**
 * All of them, in a world of their own.
 * @param only one part, and one violation of it is enough
 */
export async function diskFaults(only?: Part): Promise<Findings> {
	const world = await makeWorld();
	const all: Findings = { faults: 0, violations: [] };
	try {
		for (const [name, part] of Object.entries(PARTS)) {
			if (only !== undefined && name !== only) continue;
			const { faults, violations } = await part(world, only !== undefined);
			all.faults += faults;
			all.violations.push(...violations);
		}
		return all;
	} finally {
		await rm(world.dir, { recursive: true, force: true });
	}
}
