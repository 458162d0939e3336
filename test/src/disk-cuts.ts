import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { wire } from "./disk-wire.ts";
import {
	inspectDevice,
	live,
	none,
	type Said,
	WINDOW,
	type World,
} from "./disk-world.ts";
import {
	type Cut,
	type Findings,
	type Left,
	SimulatedDisk,
} from "./simulated-disk.ts";

/** A moment at which the power was cut. */
interface Moment {
	what: string;
	said: Said;
	/** Blocks that the store had sent. */
	sent: number;
	left: Left;
	cut: Cut;
}

/**
 * Cuts the power after every operation on the disk, in each of two ways, looks at what is left, and
 * lets the device go on from there to its end.
 */
export async function powerCuts(
	world: World,
	untilFirst: boolean,
): Promise<Findings> {
	const dir = join(world.dir, "device");
	await mkdir(dir);
	const { server, link } = await wire(world.store);
	const disk = new SimulatedDisk(dir);
	const moments: Moment[] = [];
	const said = none();
	const mark = (what: string) => {
		for (const cut of ["nothing", "names"] as const)
			moments.push({
				what,
				cut,
				said: structuredClone(said),
				sent: server.counters.blocks,
				left: disk.afterCut(cut),
			});
	};
	disk.install();
	disk.onChange = mark;
	try {
		await live(dir, world, link, said, () => mark("said"));
	} finally {
		disk.uninstall();
	}
	const violations: string[] = [];
	// of moments that leave the same, the last: most had been sent by then
	const states = new Map<string, Moment>();
	for (const moment of moments)
		states.set(`${moment.left.id} ${JSON.stringify(moment.said)}`, moment);
	for (const [index, moment] of [...states.values()].entries()) {
		const { left, said: promised } = moment;
		const image = join(world.dir, `image-${index}`);
		await left.write(image);
		const where = `power cut ${index} (${moment.what}, ${moment.cut} left)`;
		for (const wrong of await inspectDevice(image, world, promised))
			violations.push(`${where}: ${wrong}`);
		// of those that left the names every third goes on to the end: they lose no more than the others
		const goes = moment.cut === "nothing" || index % 3 === 0;
		if (violations.length === 0 && goes)
			for (const wrong of await goOn(image, world, moment.sent))
				violations.push(`${where}, then on: ${wrong}`);
		await rm(image, { recursive: true, force: true });
		if (untilFirst && violations.length > 0) break;
	}
	return { faults: states.size, violations };
}

async function goOn(image: string, world: World, before: number) {
	const wrong: string[] = [];
	const { server, link } = await wire(world.store);
	const said = none();
	try {
		await live(image, world, link, said, () => undefined);
		wrong.push(...(await inspectDevice(image, world, said)));
		if (said.active !== world.digests.at(-1)) wrong.push("no voice at the end");
	} catch (thrown) {
		wrong.push(`it cannot go on: ${(thrown as Error).message}`);
	}
	const twice = before + server.counters.blocks - world.blocks;
	// a manifest is fetched whole again when the cut came before it was kept
	if (twice > WINDOW + 1) wrong.push(`${twice} blocks were sent twice`);
	return wrong;
}
