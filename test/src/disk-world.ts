import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
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
import { DeviceState, Floors, Wishes } from "@wattvox/device-agent/testing";
import { encodeDesired, type PullOptions, pullBundle } from "@wattvox/link";

export const ME = { fleet: "f", device: "d" };
export const WINDOW = 4;
const DECODER_BYTES = 400_000;

/** What a device has said of itself, so what a power cut must not take back. */
export interface Said {
	revision: number;
	stored: string[];
	laidOut: string[];
	active: string | null;
}

/** Nothing was said yet. */
export function none(): Said {
	return { revision: 0, stored: [], laidOut: [], active: null };
}

/** A fleet with two voices on one base, and a wire to it that never fails. */
export interface World {
	dir: string;
	key: PrivateKey;
	store: FolderStore;
	/** In the order in which they are wished for. */
	digests: string[];
	/** Their folders. */
	voices: string[];
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
	const voices: string[] = [];
	const unique = new Map<string, number>();
	for (const voice of ["ada", "bob"]) {
		const files = sampleFiles({ voice, decoderBytes: DECODER_BYTES });
		const path = join(dir, voice);
		const made = await writeBundle(path, files, sampleMeta(voice), key);
		await store.put(path, trust);
		digests.push(made.digest);
		voices.push(path);
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
	return { dir, key, store, digests, voices, blocks, wish };
}

/** Everything that a device does to its disk on the way from a wish to a voice. */
export async function live(
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
