import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
	FolderStore,
	openBundle,
	parseManifest,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { sampleFiles, sampleMeta } from "@wattvox/bundle/testing";
import type { World } from "./disk-world.ts";
import { type Findings, type Left, SimulatedDisk } from "./simulated-disk.ts";

/**
 * Writes a bundle and puts it into a store, and cuts the power after every operation: what was said to be
 * there is there, and what is there is whole.
 */
export async function publishing(world: World): Promise<Findings> {
	const dir = join(world.dir, "publishing");
	await mkdir(dir);
	const trust = trustKeys([world.key.publicKey]);
	const disk = new SimulatedDisk(dir);
	const said = { written: "", stored: "" };
	const states = new Map<string, { what: string; left: Left }>();
	const mark = (what: string) => {
		for (const cut of ["nothing", "names"] as const) {
			const left = disk.afterCut(cut);
			const promised = { ...said };
			states.set(`${left.id} ${JSON.stringify(promised)}`, {
				...{ what: `power cut (${what}, ${cut} left)` },
				left: { ...left, id: JSON.stringify(promised) },
			});
		}
	};
	disk.install();
	disk.onChange = mark;
	try {
		const files = sampleFiles({ voice: "eve", decoderBytes: 70_000 });
		const at = join(dir, "eve");
		const made = await writeBundle(at, files, sampleMeta("eve"), world.key);
		said.written = made.digest;
		mark("said");
		const store = new FolderStore(join(dir, "store"));
		said.stored = await store.put(at, trust);
		mark("said");
	} finally {
		disk.uninstall();
	}
	const violations: string[] = [];
	for (const [index, { what, left }] of [...states.values()].entries()) {
		const image = join(world.dir, `published-${index}`);
		await left.write(image);
		const wrong = (text: string) => violations.push(`${what}: ${text}`);
		const { written, stored } = JSON.parse(left.id) as typeof said;
		await openBundle(join(image, "eve"), trust).catch((thrown) => {
			if (written || thrown.code !== "E_FILE_MISSING")
				wrong(`the bundle: ${thrown.message}`);
		});
		const store = new FolderStore(join(image, "store"));
		const held = await store.bundles();
		if (stored && !held.includes(stored)) wrong("the store has lost it");
		for (const digest of held) {
			const found = await store.readManifest(digest).catch(() => undefined);
			if (!found) wrong("the store has half a manifest");
			else
				for (const file of parseManifest(found.bytes).files)
					if (!(await store.hasBlob(file))) wrong(`${file.name} is missing`);
		}
		await rm(image, { recursive: true, force: true });
		if (violations.length > 0) break;
	}
	return { faults: states.size, violations };
}
