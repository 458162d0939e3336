import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	FolderStore,
	newKey,
	type PrivateKey,
	type Root,
	rotateRoot,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { sampleBytes } from "@wattvox/bundle/testing";
import { publish } from "@wattvox/fleet";
import type { Reported } from "@wattvox/link";
import { BASE_MEL } from "@wattvox/speech";
import { type Golden, makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import { type Account, account } from "./faults-account.ts";
import {
	type DeviceEvent,
	Journal,
	type StoreEvent,
} from "./faults-journal.ts";
import { BadLink } from "./faults-link.ts";
import { Kept } from "./faults-process.ts";

/** A voice that a fleet may wish for. */
export interface Wishable {
	name: string;
	path: string;
	digest: string;
	/** It speaks its golden sentences as it should. */
	good: boolean;
	/** SHA-256 of each of its files. */
	files: Set<string>;
}

/** One fleet with one device, all of it real processes but the link between the two. */
export interface House {
	dir: string;
	deviceDir: string;
	/** Signs voices. */
	key: PrivateKey;
	voices: Wishable[];
	broker: Kept;
	store: Kept;
	agent: Kept;
	link: BadLink;
	/** Of the speech API. */
	url: string;
	/** What the device does. */
	device: Journal<DeviceEvent>;
	/** Where every block belongs that was asked for and sent so far. */
	account(): Account;
	/** What the device said last. */
	said: { reported: Reported | undefined; speaker: number | null };
	/** The voice wished for last. */
	wished: Wishable | undefined;
	/** Of the last wish. */
	readonly revision: number;
	/** Wishes for a voice. */
	wish(voice: Wishable): Promise<void>;
	/** Wishes for one by a wish that has expired already. */
	wishExpired(voice: Wishable): Promise<void>;
	/** Gives the fleet another key by a new root, and wishes by it for the voice wished for last. */
	rotate(): Promise<void>;
	stop(): Promise<void>;
}

/** @param log told what takes long */
export async function makeHouse(log: (text: string) => void): Promise<House> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-house-"));
	const key = newKey();
	const trust = trustKeys([key.publicKey]);
	let fleet = firstRoot(key);
	const { bytes: firstRoots } = fleet;
	const folder = new FolderStore(join(dir, "store"));
	log("making voices");
	const voices: Wishable[] = [];
	for (const [index, name] of ["anna", "bert", "carl", "dora"].entries()) {
		const good = name !== "dora";
		const files = tinyVoice({ name, adapterSeed: index + 1 });
		// dora's sentences are anna's: she cannot speak them so
		const by = good ? files : tinyVoice({ name, adapterSeed: 99, seed: 99 });
		const path = join(dir, name);
		const made = await writeBundle(
			path,
			[
				...tinyBundle.sources(files, await goldenOf(by)),
				// something to pull for a while
				{
					role: "licence",
					name: "LICENCE",
					bytes: sampleBytes(3_000_000, name),
				},
			],
			tinyBundle.meta(name),
			key,
		);
		await folder.put(path, trust);
		const contents = new Set(made.manifest.files.map((f) => f.sha256));
		voices.push({ name, path, digest: made.digest, good, files: contents });
	}
	const device = new Journal<DeviceEvent>(join(dir, "device.log"));
	const sent = new Journal<StoreEvent>(join(dir, "store.log"));
	const said: House["said"] = { reported: undefined, speaker: null };
	const deviceDir = join(dir, "device");
	await mkdir(deviceDir);
	const link = new BadLink();
	const linkPort = await link.start();
	let brokerPort = 0;
	const broker = new Kept(() => ({
		kind: "broker",
		port: brokerPort,
		dir: join(dir, "broker"),
	}));
	brokerPort = await broker.start();
	link.target = brokerPort;
	const brokerUrl = `mqtt://127.0.0.1:${brokerPort}`;
	const store = new Kept(() => ({
		...{ kind: "store", url: brokerUrl, dir: folder.root },
		journal: sent.path,
	}));
	await store.start();
	const port = await freePort();
	const agent = new Kept(
		() => ({
			kind: "agent",
			url: `mqtt://127.0.0.1:${linkPort}`,
			dir: deviceDir,
			port,
			journal: device.path,
			roots: firstRoots.toString("base64"),
		}),
		(message) => {
			if (message.reported) said.reported = message.reported as Reported;
			const speaker = message.speaker as { pid: number | null } | undefined;
			if (speaker) said.speaker = speaker.pid;
		},
	);
	log("starting the device");
	await agent.start();
	let revision = 0;
	const tell = async (voice: Wishable, more: { validMs?: number } = {}) => {
		revision++;
		for (;;)
			try {
				await broker.ready;
				await publish(voice.path, folder, {
					...{ fleet: "f", devices: ["d1"], revision, ...more },
					...{ key: fleet.key, roots: fleet.bytes },
					broker: { url: brokerUrl, connectTimeoutMs: 3000 },
				});
				return;
			} catch {
				// the broker went meanwhile; it comes back
			}
	};
	const house: House = {
		...{ dir, deviceDir, key, voices, broker, store, agent, link, said },
		device,
		account() {
			// the store first: what it sends was asked for before
			const answers = sent.read();
			const files = voices.map((v) => [v.digest, v.files] as const);
			return account(device.read(), answers, new Map(files));
		},
		url: `http://127.0.0.1:${port}`,
		wished: undefined,
		get revision() {
			return revision;
		},
		async wish(voice) {
			house.wished = voice;
			await tell(voice);
		},
		wishExpired: (voice) => tell(voice, { validMs: -1000 }),
		async rotate() {
			if (fleet.root.version < MOST_ROOTS) fleet = nextRoot(fleet);
			if (house.wished) await tell(house.wished);
		},
		async stop() {
			await Promise.all([agent.stop(), store.stop(), broker.stop()]);
			await link.stop();
			await rm(dir, { recursive: true, force: true, maxRetries: 5 });
		},
	};
	return house;
}

/** Whom the fleet believes, and the keys that say so. */
interface Fleet {
	/** Signs roots. */
	rootKey: PrivateKey;
	/** Signs wishes. */
	key: PrivateKey;
	root: Root;
	/** Of the root file. */
	bytes: Buffer;
}

/** What a root file can hold. */
const MOST_ROOTS = 30;
const years = { created: new Date(), expires: new Date("2126-01-01") };

function firstRoot(release: PrivateKey): Fleet {
	const [rootKey, key] = [newKey(), newKey()];
	const add = [
		{ role: "root", key: rootKey.publicKey },
		{ role: "release", key: release.publicKey },
		{ role: "fleet", key: key.publicKey },
	] as const;
	const change = { add, remove: [], ...years };
	return { rootKey, key, ...rotateRoot(undefined, change, [rootKey]) };
}

/** Another key in the place of the fleet's. */
function nextRoot({ rootKey, key, bytes }: Fleet): Fleet {
	const fresh = newKey();
	const change = {
		add: [{ role: "fleet", key: fresh.publicKey } as const],
		remove: [{ role: "fleet", id: key.id } as const],
		...years,
	};
	return { rootKey, key: fresh, ...rotateRoot(bytes, change, [rootKey]) };
}

async function goldenOf(files: ReturnType<typeof tinyVoice>): Promise<Golden> {
	const voice = await Voice.load(files);
	try {
		return await makeGolden(voice, ["All is well."], BASE_MEL);
	} finally {
		await voice.dispose();
	}
}

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await new Promise((resolve) => server.once("listening", resolve));
	const { port } = server.address() as { port: number };
	await new Promise((resolve) => server.close(resolve));
	return port;
}
