import { mkdir, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { openBundle, parseManifest, sha256 } from "@wattvox/bundle";
import { syncDir } from "@wattvox/core";
import { DeviceState } from "@wattvox/device-agent/testing";
import { Attempts, code, flip, rot, tap, unless } from "./disk-attempts.ts";
import { inspectDevice, none, type World } from "./disk-world.ts";
import { type Findings, SimulatedDisk } from "./simulated-disk.ts";

/** Blocks and files that are not what was signed: on the way, on the disk, in the store. */
export async function damage(world: World): Promise<Findings> {
	const a = new Attempts(world, "damage");
	const [ada = "", bob = ""] = world.digests;
	const manifest = await world.store.readManifest(ada);
	const decoder = parseManifest(manifest?.bytes ?? Buffer.alloc(0)).files.find(
		(f) => f.role === "decoder",
	);
	if (!manifest || !decoder) throw new Error("no decoder to damage");

	await a.attempt("a block damaged on its way", async (state, dir) => {
		let once = true;
		const source = tap(world, (sha, index, block) => {
			if (sha !== decoder.sha256 || index !== 1 || !once) return;
			once = false;
			flip(block, 9);
		});
		const sent = await a.pull(state, source, ada);
		const files = parseManifest(manifest.bytes).files;
		const all = files.reduce((sum, f) => sum + f.blocks.length, 1);
		if (sent > all + 1) return `${sent - all} blocks were sent twice`;
		return (await inspectDevice(dir, world, none()))[0];
	});

	await a.attempt("a part that rots before it is whole", async (state, dir) => {
		const part = join(state.store.root, "partial", `${decoder.sha256}.part`);
		const source = tap(world, async (sha, index) => {
			if (sha !== decoder.sha256 || index !== decoder.blocks.length - 1) return;
			for (;;) {
				const bytes = await readFile(part);
				// until the first block is there
				if (sha256(bytes.subarray(0, 65_536)) === decoder.blocks[0]) {
					flip(bytes, 5);
					return writeFile(part, bytes, { flag: "r+" });
				}
				await new Promise((resolve) => setImmediate(resolve));
			}
		});
		const end = await code(a.pull(state, source, ada));
		if (end !== "E_TAMPERED") return `the pull ends with ${end}`;
		return (await inspectDevice(dir, world, none()))[0];
	});

	await a.attempt("a part that rots between two attempts", async (state) => {
		const part = join(state.store.root, "partial", `${decoder.sha256}.part`);
		const left = await readFile(world.store.blobPath(decoder.sha256));
		flip(left, 5);
		await mkdir(dirname(part), { recursive: true });
		await writeFile(part, left);
		let sent = 0;
		const source = tap(world, (sha) => {
			if (sha === decoder.sha256) sent++;
		});
		await a.pull(state, source, ada);
		return sent === 1 ? undefined : `${sent} blocks came again`;
	});

	/** A process is killed, the device goes on, and then its power is cut. */
	const killed = (
		what: string,
		leave: (part: string, whole: Buffer) => Promise<void>,
	) =>
		a.attempt(what, async (_, dir) => {
			const whole = await readFile(world.store.blobPath(decoder.sha256));
			const disk = new SimulatedDisk(dir);
			disk.install();
			try {
				const home = join(dir, "home");
				await mkdir(home);
				const state = new DeviceState(home);
				await state.prepare();
				const partial = join(state.store.root, "partial");
				await mkdir(partial, { recursive: true });
				await leave(join(partial, `${decoder.sha256}.part`), whole);
				await syncDir(partial);
				await a.pull(state, world.store, ada);
			} finally {
				disk.uninstall();
			}
			for (const cut of ["nothing", "names"] as const) {
				const image = join(dir, cut);
				await disk.afterCut(cut).write(image);
				const wrong = await inspectDevice(join(image, "home"), world, none());
				if (wrong[0]) return wrong[0];
			}
			return undefined;
		});

	await killed("killed before the last flush", async (part, whole) => {
		const handle = await open(part, "w");
		await handle.writeFile(whole);
		await handle.close();
	});

	await killed("a longer file of an earlier attempt", async (part, whole) => {
		const handle = await open(part, "w");
		await handle.writeFile(Buffer.concat([whole, Buffer.from("more")]));
		await handle.sync();
		await handle.close();
	});

	await a.attempt("a file that rots before it is laid out", async (state) => {
		await a.pull(state, world.store, ada);
		await rot(state.store.blobPath(decoder.sha256), 100);
		const end = await code(
			state.store.checkout(ada, state.voiceDir(ada), a.trust),
		);
		if (end !== "E_TAMPERED") return `it is laid out with ${end}`;
		return (await state.laidOut()).has(ada) ? "a voice is there" : undefined;
	});

	await a.attempt("a voice that rots while it speaks", async (state) => {
		for (const digest of [ada, bob]) {
			await a.pull(state, world.store, digest);
			await state.store.checkout(digest, state.voiceDir(digest), a.trust);
		}
		await state.setActive({ digest: bob, revision: 2, previous: ada });
		await rot(join(state.voiceDir(bob), "voice.json"), 3);
		const active = await state.recallActive(() => undefined);
		return active?.digest === ada ? undefined : "the voice before is not back";
	});

	await a.attempt("laid out on a disk without links", async (_, dir) => {
		const disk = new SimulatedDisk(dir, false);
		disk.install();
		try {
			const home = join(dir, "home");
			await mkdir(home);
			const state = new DeviceState(home);
			await state.prepare();
			await a.pull(state, world.store, ada);
			await state.store.checkout(ada, state.voiceDir(ada), a.trust);
		} finally {
			disk.uninstall();
		}
		const image = join(dir, "image");
		await disk.afterCut("nothing").write(image);
		const said = { ...none(), laidOut: [ada] };
		return (await inspectDevice(join(image, "home"), world, said))[0];
	});

	await a.attempt("another voice in the place of this one", async (state) => {
		for (const digest of [ada, bob]) await a.pull(state, world.store, digest);
		await state.store.checkout(bob, state.voiceDir(ada), a.trust);
		return (await state.intact(ada)) ? "it is taken for it" : undefined;
	});

	await a.attempt("a voice and its blob that rot", async (state) => {
		await a.pull(state, world.store, ada);
		await state.store.checkout(ada, state.voiceDir(ada), a.trust);
		await state.setActive({ digest: ada, revision: 1, previous: null });
		const blob = state.store.blobPath(decoder.sha256);
		await rot(blob, 3);
		await rot(join(state.voiceDir(ada), decoder.name), 3);
		if (await state.recallActive(() => undefined)) return "it still speaks";
		// what is damaged would be taken for good when the voice comes again
		return (await state.store.hasBlob(decoder)) ? "the blob stays" : undefined;
	});

	await a.attempt("a file of a store that rots, published again", async (s) => {
		const [voice] = world.voices;
		if (!voice) return "there is none";
		await s.store.put(voice, a.trust);
		await rot(s.store.blobPath(decoder.sha256), 7);
		await s.store.put(voice, a.trust);
		const bytes = await readFile(s.store.blobPath(decoder.sha256));
		return unless(sha256(bytes), decoder.sha256, "the store offers");
	});

	await a.attempt("a bundle that rots before it is published", async (s) => {
		const dir = join(s.dir, "copy");
		await world.store.checkout(ada, dir, a.trust);
		await rot(join(dir, decoder.name), 7);
		const opened = await code(openBundle(dir, a.trust));
		return unless(opened, "E_TAMPERED", "it is opened with");
	});
	return a.findings;
}
