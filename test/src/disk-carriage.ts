// What is carried besides voices: engines to a device and to a store, and what a device has to tell.
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
	type BlockSource,
	EngineShelf,
	newKey,
	type PrivateKey,
	sha256,
	trustKeys,
} from "@wattvox/bundle";
import { sampleEngine } from "@wattvox/bundle/testing";
import {
	Backlog,
	EngineCache,
	type Entry,
} from "@wattvox/device-agent/testing";
import { type EnginePlace, pullEngine } from "@wattvox/link";
import { wire } from "./disk-wire.ts";
import type { World } from "./disk-world.ts";
import {
	type Cut,
	type Findings,
	type Left,
	SimulatedDisk,
} from "./simulated-disk.ts";

const WINDOW = 2;
/** Longest wait for a flush that comes by itself, turns of 10 ms and more. */
const FLUSH_TURNS = 500;

type Engine = ReturnType<typeof sampleEngine>;

/** What has been said, so what a power cut must not take back. */
interface Said {
	/** The device has its engine. */
	cached: boolean;
	/** The store told the station that it has it. */
	held: boolean;
	/** Readings that survive a power cut. */
	kept: string[];
}

const nothing = (): Said => ({ cached: false, held: false, kept: [] });

/** A station, or a store: it has one engine. */
function sourceOf({ head, plan, file, name }: Engine): BlockSource {
	return {
		readManifest: async () => undefined,
		readEngine: async (asked) => (asked === name ? head : undefined),
		readBlock: async (digest, index) =>
			digest === file.sha256
				? plan.subarray(index << 16, (index + 1) << 16)
				: undefined,
	};
}

/** The last reading of a boot. */
function reading(boot: string): Entry {
	return {
		stream: "power",
		body: {
			...{ v: 1, device: "d", boot, sequence: 0, millijoules: 1000 },
			...{ measured: true, sensor: "test", utterances: 1 },
			...{ audioSeconds: 1, computeSeconds: 1, voice: null },
			at: "2026-01-01T00:00:00.000Z",
		},
	};
}

class Carriage {
	readonly key: PrivateKey = newKey();
	readonly engine: Engine = sampleEngine(this.key, { bytes: 200_000 });
	readonly dir: string;

	constructor(dir: string) {
		this.dir = dir;
	}

	/** @param source where the engine comes from */
	async pull(
		source: BlockSource,
		place: () => Promise<EnginePlace | null>,
		name = this.engine.name,
	) {
		const { server, link } = await wire(source);
		const trust = trustKeys([this.key.publicKey]);
		const got = await pullEngine({
			...{ link, fleet: "f", device: "d", store: "s", name, trust, place },
			window: WINDOW,
		});
		return { ...got, sent: server.counters.blocks };
	}

	/** To a device, as its carrier brings it. @returns blocks sent */
	async toDevice(dir: string, source = sourceOf(this.engine)): Promise<number> {
		const { file, key } = this.engine;
		const cache = new EngineCache(join(dir, "engines"));
		const at = await cache.incoming(file.sha256);
		const { head, sent } = await this.pull(source, async () => at);
		const origin = { kind: "signed", key: head.signer } as const;
		await cache.adopt(key as never, at.plan, head, origin);
		return sent;
	}

	/** To a store, as its intake takes it. @returns blocks sent */
	async toStore(dir: string): Promise<number> {
		const { file } = this.engine;
		const shelf = new EngineShelf(join(dir, "shelf"));
		const { bytes, sent } = await this.pull(sourceOf(this.engine), async () =>
			(await shelf.hasPlan(file))
				? null
				: {
						part: await shelf.partPath(file),
						plan: shelf.planPath(file.sha256),
					},
		);
		await shelf.put(bytes);
		return sent;
	}

	/** All of it, saying what is done. @returns blocks sent */
	async live(
		dir: string,
		say: (change: Partial<Said>) => void,
		flushed: () => Promise<void>,
	): Promise<number> {
		let sent = 0;
		if (
			!(await new EngineCache(join(dir, "engines")).find(
				this.engine.key as never,
			))
		)
			sent += await this.toDevice(dir);
		say({ cached: true });
		sent += await this.toStore(dir);
		say({ held: true });
		const kept: string[] = [];
		const backlog = new Backlog(dir, { syncMs: 1 });
		await backlog.open();
		const keep = (boot: string) => {
			kept.push(boot);
			say({ kept: [...kept] });
		};
		await backlog.add(reading("durable"), true);
		keep("durable");
		const flush = flushed();
		await backlog.add(reading("later"));
		await flush;
		keep("later");
		await backlog.close();
		const last = new Backlog(dir, { syncMs: 3_600_000 });
		await last.open();
		await last.add(reading("closing"));
		await last.close();
		keep("closing");
		return sent;
	}

	/** What is wrong on a disk that a power cut left. */
	async inspect(dir: string, said: Said): Promise<string[]> {
		const wrong: string[] = [];
		const cache = new EngineCache(join(dir, "engines"));
		for (const entry of await cache.list())
			if (sha256(await readFile(entry.path)) !== entry.sha256)
				wrong.push("the device has an engine that is not what was signed");
		if (said.cached && !(await cache.find(this.engine.key as never)))
			wrong.push("the device's engine is gone");
		const shelf = new EngineShelf(join(dir, "shelf"));
		const { file, name } = this.engine;
		const names = await shelf.names();
		if (names.length > 0) {
			const plan = await readFile(shelf.planPath(file.sha256));
			if (sha256(plan) !== file.sha256)
				wrong.push("the store offers an engine that is not what was signed");
		}
		if (said.held && !names.includes(name))
			wrong.push("the store's engine is gone");
		const waiting = new Set(await this.waiting(dir));
		for (const boot of said.kept)
			if (!waiting.has(boot)) wrong.push(`the reading "${boot}" is gone`);
		return wrong;
	}

	/** Boots of which a reading waits. */
	async waiting(dir: string): Promise<string[]> {
		const backlog = new Backlog(dir);
		await backlog.open();
		const taken = backlog.take({ power: 100, utterance: 100 });
		await backlog.close();
		return taken.map(({ body }) => body.boot);
	}
}

/** Cuts the power after every operation on the disk, in each of two ways, and lets it go on from there. */
async function cuts(c: Carriage): Promise<Findings> {
	const dir = join(c.dir, "carriage");
	await mkdir(dir);
	const disk = new SimulatedDisk(dir);
	const said = nothing();
	const states = new Map<string, { what: string; said: Said; left: Left }>();
	let onFlush: () => void = () => undefined;
	const mark = (what: string) => {
		if (/^datasync backlog/.test(what)) onFlush();
		for (const cut of ["nothing", "names"] as const satisfies Cut[]) {
			const left = disk.afterCut(cut);
			const moment = { what: `${what}, ${cut} left`, left };
			const promised = structuredClone(said);
			states.set(`${left.id} ${JSON.stringify(promised)}`, {
				...moment,
				said: promised,
			});
		}
	};
	const flushed = async () => {
		let done = false;
		onFlush = () => {
			done = true;
		};
		// turns, not time: a machine that is busy gives few of them
		for (let n = 0; n < FLUSH_TURNS && !done; n++) await delay(10);
	};
	disk.install();
	disk.onChange = mark;
	let whole = 0;
	try {
		whole = await c.live(
			dir,
			(change) => {
				Object.assign(said, change);
				mark("said");
			},
			flushed,
		);
	} finally {
		disk.uninstall();
	}
	const violations: string[] = [];
	for (const [index, { what, said, left }] of [...states.values()].entries()) {
		const image = join(c.dir, `carried-${index}`);
		await left.write(image);
		for (const wrong of await c.inspect(image, said))
			violations.push(`power cut (${what}): ${wrong}`);
		if (violations.length > 0) break;
		try {
			const done = nothing();
			const change = (said: Partial<Said>) => void Object.assign(done, said);
			await c.live(image, change, async () => undefined);
			violations.push(...(await c.inspect(image, { ...done, kept: [] })));
		} catch (thrown) {
			violations.push(`power cut (${what}): ${(thrown as Error).message}`);
		}
		await rm(image, { recursive: true, force: true });
	}
	if (whole === 0) violations.push("nothing was carried");
	return { faults: states.size, violations };
}

/** Engines and readings that are not what they were. */
async function damage(c: Carriage): Promise<Findings> {
	const violations: string[] = [];
	let faults = 0;
	const attempt = async (
		what: string,
		body: (dir: string) => Promise<string | undefined>,
	) => {
		const dir = join(c.dir, `carriage-${faults++}`);
		await mkdir(dir);
		const wrong = await body(dir).catch(
			(thrown) => `ends with ${(thrown as Error).message}`,
		);
		if (wrong) violations.push(`${what}: ${wrong}`);
	};
	const code = (work: Promise<unknown>) =>
		work.then(
			() => "no error",
			(thrown) => String((thrown as { code?: string }).code),
		);
	const { engine } = c;

	await attempt("an engine that a stranger signed", async (dir) => {
		const { head } = sampleEngine(newKey(), { bytes: 200_000 });
		// under the name of a key that is trusted
		const forged = Buffer.from(
			head
				.toString()
				.replace(/("key":")[0-9a-f]{64}(","signature")/, `$1${c.key.id}$2`),
		);
		const end = await code(
			c.toDevice(dir, { ...sourceOf(engine), readEngine: async () => forged }),
		);
		return end === "E_SIGNATURE" ? undefined : `the pull ends with ${end}`;
	});

	await attempt("another engine under the name of this one", async (dir) => {
		const other = sampleEngine(c.key, { bytes: 200_000, seed: "other" });
		const source = sourceOf(other);
		const end = await code(
			c.toDevice(dir, { ...source, readEngine: async () => other.head }),
		);
		return end === "E_TAMPERED" ? undefined : `the pull ends with ${end}`;
	});

	await attempt("an engine that rots on the device", async (dir) => {
		await c.toDevice(dir);
		const cache = new EngineCache(join(dir, "engines"));
		const [entry] = await cache.list();
		if (!entry) return "it did not come";
		const bytes = await readFile(entry.path);
		bytes[9] = (bytes[9] ?? 0) ^ 1;
		await rm(entry.path, { force: true });
		await writeFile(entry.path, bytes);
		return (await cache.find(engine.key as never)) ? "it is found" : undefined;
	});

	await attempt("a reading that rots before it is told", async (dir) => {
		const backlog = new Backlog(dir);
		await backlog.open();
		await backlog.add(reading("first"), true);
		await backlog.add(reading("second"), true);
		await backlog.close();
		const path = join(dir, "backlog.log");
		const text = await readFile(path, "utf8");
		await writeFile(path, text.replace('"boot":"first"', '"boot":"fierst"'));
		const told = await c.waiting(dir);
		return told.join() === "second" ? undefined : `it tells ${told.join()}`;
	});
	return { faults, violations };
}

/** Power cuts and damage while engines go to a device and to a store, and readings wait for a broker. */
export async function carriage({ dir }: World): Promise<Findings> {
	const c = new Carriage(dir);
	const [rotten, cut] = [await damage(c), await cuts(c)];
	return {
		faults: rotten.faults + cut.faults,
		violations: [...rotten.violations, ...cut.violations],
	};
}
