import {
	mkdir,
	mkdtemp,
	open,
	readdir,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
	type BlockSource,
	bundleDigest,
	FolderStore,
	newKey,
	openBundle,
	type PrivateKey,
	parseManifest,
	parseSignature,
	sha256,
	trustKeys,
	verifyBytes,
	writeBundle,
} from "@wattvox/bundle";
import { sampleFiles, sampleMeta } from "@wattvox/bundle/testing";
import { syncDir } from "@wattvox/core";
import { DeviceState, Floors, Wishes } from "@wattvox/device-agent/testing";
import { encodeDesired, type PullOptions, pullBundle } from "@wattvox/link";
import { carriage } from "./disk-carriage.ts";
import { wire } from "./disk-wire.ts";
import {
	type Cut,
	type Findings,
	type Left,
	SimulatedDisk,
} from "./simulated-disk.ts";

export type { Findings } from "./simulated-disk.ts";

const ME = { fleet: "f", device: "d" };
const WINDOW = 4;
const DECODER_BYTES = 400_000;

/** What a device has said of itself, so what a power cut must not take back. */
interface Said {
	revision: number;
	stored: string[];
	laidOut: string[];
	active: string | null;
}

/** A fleet with two voices on one base, and a wire to it that never fails. */
export interface World {
	dir: string;
	key: PrivateKey;
	store: FolderStore;
	/** In the order in which they are wished for. */
	digests: string[];
	/** Blocks of all of them, each once, and their manifests. */
	blocks: number;
	wish(revision: number, by?: PrivateKey): Buffer;
}

export async function makeWorld(): Promise<World> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-faults-"));
	const key = newKey();
	const trust = trustKeys([key.publicKey]);
	const store = new FolderStore(join(dir, "store"));
	const digests: string[] = [];
	const unique = new Map<string, number>();
	for (const voice of ["ada", "bob"]) {
		const files = sampleFiles({ voice, decoderBytes: DECODER_BYTES });
		const path = join(dir, voice);
		const made = await writeBundle(path, files, sampleMeta(voice), key);
		await store.put(path, trust);
		digests.push(made.digest);
		for (const file of made.manifest.files)
			unique.set(file.sha256, file.blocks.length);
	}
	const blocks = [...unique.values()].reduce((a, b) => a + b, digests.length);
	const wish = (revision: number, by = key) =>
		encodeDesired(
			{
				v: 1,
				...ME,
				bundle: digests[revision - 1] ?? "",
				store: "s",
				revision,
				at: new Date().toISOString(),
			},
			by,
		);
	return { dir, key, store, digests, blocks, wish };
}

/** Everything that a device does to its disk on the way from a wish to a voice. */
async function live(
	dir: string,
	world: World,
	link: PullOptions["link"],
	said: Said,
	onSay: () => void,
): Promise<void> {
	const trust = trustKeys([world.key.publicKey]);
	const state = new DeviceState(dir);
	await state.prepare();
	const floors = new Floors(dir, trust);
	await floors.recall();
	const wishes = new Wishes(state, ME, trust, floors);
	await wishes.recall();
	await state.recallActive(() => undefined);
	const say = (change: Partial<Said>) => {
		Object.assign(said, change);
		onSay();
	};
	for (const [index, digest] of world.digests.entries()) {
		const revision = index + 1;
		if (wishes.hear(world.wish(revision)) === "new") await wishes.keep();
		if ((wishes.current?.revision ?? 0) > revision) continue;
		say({ revision });
		await pullBundle({
			...{ link, ...ME, store: "s", digest, into: state.store, trust },
			window: WINDOW,
		});
		say({ stored: [...said.stored, digest] });
		if (!(await state.laidOut()).has(digest))
			await state.store.checkout(digest, state.voiceDir(digest), trust);
		say({ laidOut: [...said.laidOut, digest] });
		const previous = (await state.active())?.digest ?? null;
		await state.setActive({ digest, revision, previous });
		say({ active: digest });
	}
}

/** What is wrong on a device's disk; empty when nothing is. */
export async function inspectDevice(
	dir: string,
	world: World,
	said: Said,
): Promise<string[]> {
	const wrong: string[] = [];
	const trust = trustKeys([world.key.publicKey]);
	const state = new DeviceState(dir);
	const list = (at: string) => readdir(join(dir, at)).catch(() => []);
	for (const name of await list("store/blobs/sha256"))
		if (sha256(await readFile(state.store.blobPath(name))) !== name)
			wrong.push(`blob ${name.slice(0, 8)} is not what its name says`);
	for (const digest of await state.store.bundles()) {
		const found = await state.store.readManifest(digest);
		try {
			if (!found) throw new Error("has no manifest");
			verifyBytes(
				"manifest",
				found.bytes,
				parseSignature(found.signature),
				trust,
			);
			if (bundleDigest(found.bytes) !== digest) throw new Error("is another");
			for (const file of parseManifest(found.bytes).files)
				if (!(await state.store.hasBlob(file)))
					throw new Error(`lacks ${file.name}`);
		} catch (thrown) {
			wrong.push(`bundle ${digest.slice(0, 8)} ${(thrown as Error).message}`);
		}
	}
	for (const name of await list("voices"))
		if (!name.startsWith("."))
			await openBundle(join(dir, "voices", name), trust).catch((thrown) =>
				wrong.push(`voice ${name.slice(0, 8)}: ${thrown.message}`),
			);
	for (const name of ["active.json", "floors.json", "desired.bin"]) {
		const text = await readFile(join(dir, name), "utf8").catch(() => undefined);
		if (text === undefined) continue;
		try {
			JSON.parse(text);
		} catch {
			wrong.push(`${name} is torn`);
		}
	}
	const floors = new Floors(dir, trust);
	await floors.recall();
	const wishes = new Wishes(state, ME, trust, floors);
	const desired = await state.desired(ME, trust);
	if ((desired?.desired.revision ?? 0) < said.revision)
		wrong.push(`revision ${said.revision} is forgotten`);
	if (floors.revision < said.revision)
		wrong.push(`the floor fell below ${said.revision}`);
	for (let old = 1; old < said.revision; old++)
		if (wishes.hear(world.wish(old)) === "new")
			wrong.push(`revision ${old} is obeyed after ${said.revision}`);
	const stored = new Set(await state.store.bundles());
	for (const digest of said.stored)
		if (!stored.has(digest)) wrong.push(`bundle ${digest.slice(0, 8)} is gone`);
	const laidOut = await state.laidOut().catch(() => new Set<string>());
	for (const digest of said.laidOut)
		if (!laidOut.has(digest)) wrong.push(`voice ${digest.slice(0, 8)} is gone`);
	const active = (await state.active())?.digest ?? null;
	const order = (d: string | null) => (d ? world.digests.indexOf(d) : -1);
	if (order(active) < order(said.active))
		wrong.push(`it spoke with ${said.active?.slice(0, 8)} and forgot`);
	return wrong;
}

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
	const said: Said = { revision: 0, stored: [], laidOut: [], active: null };
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
	const said: Said = { revision: 0, stored: [], laidOut: [], active: null };
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

/** Blocks, files and messages that are not what was signed: on the way, on the disk, by a stranger. */
export async function damage(world: World): Promise<Findings> {
	const trust = trustKeys([world.key.publicKey]);
	const [ada = "", bob = ""] = world.digests;
	const violations: string[] = [];
	let faults = 0;
	const attempt = async (
		what: string,
		body: (state: DeviceState, dir: string) => Promise<string | undefined>,
	) => {
		const dir = join(world.dir, `damage-${faults++}`);
		const state = new DeviceState(dir);
		await state.prepare();
		const wrong = await body(state, dir).catch(
			(thrown) => `ends with ${(thrown as Error).message}`,
		);
		if (wrong) violations.push(`${what}: ${wrong}`);
		await rm(dir, { recursive: true, force: true });
	};
	const pull = async (
		state: DeviceState,
		source: BlockSource,
		digest = ada,
	) => {
		const { server, link } = await wire(source);
		await pullBundle({
			...{ link, ...ME, store: "s", digest, into: state.store, trust },
			window: WINDOW,
		});
		return server.counters.blocks;
	};
	/** The code it fails with. */
	const code = (work: Promise<unknown>) =>
		work.then(
			() => "no error",
			(thrown) => String((thrown as { code?: string }).code),
		);
	const manifest = await world.store.readManifest(ada);
	const decoder = parseManifest(manifest?.bytes ?? Buffer.alloc(0)).files.find(
		(f) => f.role === "decoder",
	);
	if (!manifest || !decoder) throw new Error("no decoder to damage");
	const tap = (
		change: (sha: string, index: number, block: Buffer) => Promise<void> | void,
	): BlockSource => ({
		readManifest: (digest) => world.store.readManifest(digest),
		async readBlock(sha, index) {
			const block = await world.store.readBlock(sha, index);
			if (!block) return undefined;
			const copy = Buffer.from(block);
			await change(sha, index, copy);
			return copy;
		},
	});
	const flip = (bytes: Buffer, at: number) => {
		bytes[at] = (bytes[at] ?? 0) ^ 1;
	};
	const rot = async (path: string, at: number) => {
		const bytes = await readFile(path);
		flip(bytes, at);
		await rm(path, { force: true });
		await writeFile(path, bytes);
	};

	await attempt("a block damaged on its way", async (state, dir) => {
		let once = true;
		const source = tap((sha, index, block) => {
			if (sha !== decoder.sha256 || index !== 1 || !once) return;
			once = false;
			flip(block, 9);
		});
		const sent = await pull(state, source);
		const files = parseManifest(manifest.bytes).files;
		const all = files.reduce((sum, f) => sum + f.blocks.length, 1);
		if (sent > all + 1) return `${sent - all} blocks were sent twice`;
		return (await inspectDevice(dir, world, none()))[0];
	});

	await attempt("a part that rots before it is whole", async (state, dir) => {
		const part = join(state.store.root, "partial", `${decoder.sha256}.part`);
		const source = tap(async (sha, index) => {
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
		const end = await code(pull(state, source));
		if (end !== "E_TAMPERED") return `the pull ends with ${end}`;
		return (await inspectDevice(dir, world, none()))[0];
	});

	await attempt("a part that rots between two attempts", async (state) => {
		const part = join(state.store.root, "partial", `${decoder.sha256}.part`);
		const left = await readFile(world.store.blobPath(decoder.sha256));
		flip(left, 5);
		await mkdir(dirname(part), { recursive: true });
		await writeFile(part, left);
		let sent = 0;
		const source = tap((sha) => {
			if (sha === decoder.sha256) sent++;
		});
		await pull(state, source);
		return sent === 1 ? undefined : `${sent} blocks came again`;
	});

	/** A process is killed, the device goes on, and then its power is cut. */
	const killed = (
		what: string,
		leave: (part: string, whole: Buffer) => Promise<void>,
	) =>
		attempt(what, async (_, dir) => {
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
				await pull(state, world.store);
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

	await attempt("a file that rots before it is laid out", async (state) => {
		await pull(state, world.store);
		await rot(state.store.blobPath(decoder.sha256), 100);
		const end = await code(
			state.store.checkout(ada, state.voiceDir(ada), trust),
		);
		if (end !== "E_TAMPERED") return `it is laid out with ${end}`;
		return (await state.laidOut()).has(ada) ? "a voice is there" : undefined;
	});

	await attempt("a voice that rots while it speaks", async (state) => {
		for (const digest of [ada, bob]) {
			await pull(state, world.store, digest);
			await state.store.checkout(digest, state.voiceDir(digest), trust);
		}
		await state.setActive({ digest: bob, revision: 2, previous: ada });
		await rot(join(state.voiceDir(bob), "voice.json"), 3);
		const active = await state.recallActive(() => undefined);
		return active?.digest === ada ? undefined : "the voice before is not back";
	});

	await attempt("a manifest that a stranger signed", async (state) => {
		const forged = await forge(world, ada);
		const source = {
			...tap(() => undefined),
			readManifest: async () => forged,
		};
		const end = await code(pull(state, source));
		return end === "E_SIGNATURE" ? undefined : `the pull ends with ${end}`;
	});

	await attempt("another bundle under the name of this one", async (state) => {
		const other = await world.store.readManifest(bob);
		const source = { ...tap(() => undefined), readManifest: async () => other };
		const end = await code(pull(state, source));
		return end === "E_TAMPERED" ? undefined : `the pull ends with ${end}`;
	});

	await attempt("a wish that a stranger signed", async (state, dir) => {
		const wishes = new Wishes(state, ME, trust, new Floors(dir, trust));
		const forged = world.wish(2, newKey()).toString();
		// under the name of a key that is trusted
		const text = forged.replace(
			/"key":"[0-9a-f]{64}"/,
			`"key":"${world.key.id}"`,
		);
		return wishes.hear(Buffer.from(text)) === "new"
			? "it is obeyed"
			: undefined;
	});
	return { faults, violations };
}

function none(): Said {
	return { revision: 0, stored: [], laidOut: [], active: null };
}

/** A manifest's files with a signature by nobody's key that names a trusted one. */
async function forge(world: World, digest: string) {
	const found = await world.store.readManifest(digest);
	if (!found) return undefined;
	const { signature, ...rest } = JSON.parse(found.signature.toString());
	const other = `${signature[0] === "A" ? "B" : "A"}${signature.slice(1)}`;
	const bytes = JSON.stringify({ ...rest, signature: other });
	return { bytes: found.bytes, signature: Buffer.from(bytes) };
}

/**
 * All of them, in a world of their own.
 * @param untilFirst one violation is enough
 */
export async function diskFaults(untilFirst = false): Promise<Findings> {
	const world = await makeWorld();
	try {
		const rotten = await damage(world);
		if (untilFirst && rotten.violations.length > 0) return rotten;
		const carried = await carriage(world.dir);
		if (untilFirst && carried.violations.length > 0) return carried;
		const cuts = await powerCuts(world, untilFirst);
		const all = [rotten, carried, cuts];
		return {
			faults: all.reduce((sum, { faults }) => sum + faults, 0),
			violations: all.flatMap(({ violations }) => violations),
		};
	} finally {
		await rm(world.dir, { recursive: true, force: true });
	}
}
