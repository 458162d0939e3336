// The fault campaign: real processes, a real broker, random faults at random moments.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { openBundle, sha256, trustKeys } from "@wattvox/bundle";
import type { Reported } from "@wattvox/link";
import { type House, makeHouse, type Wishable } from "./faults-house.ts";
import { childrenOf, programOf } from "./faults-process.ts";

export interface CampaignOptions {
	faults: number;
	/** Equal seeds give equal faults at equal moments; what they meet there is the machine's. */
	seed: number;
	/** Faults between two looks at the whole device. */
	every?: number;
	/** Faults to choose from. Default: all but {@link SPEAKER_KILLED}. */
	only?: readonly string[];
	/** Longest time to come back after the last fault, ms. */
	patienceMs?: number;
	log?: (text: string) => void;
}

export interface CampaignResult {
	seed: number;
	/** How often each fault came. */
	faults: Record<string, number>;
	/** Looks at the whole device. */
	looks: number;
	/** Requests to the speech API that were answered with speech, and with something else. */
	spoken: number;
	refused: number;
	/** Blocks that the store sent, damaged ones left out. */
	blocksSent: number;
	/** Blocks that had to be sent. */
	blocksNeeded: number;
	/** Blocks that it may have sent at most, by what the protocol promises. */
	blocksAllowed: number;
	/** Voices given up because their speaker was killed again and again, and spoken in the end. */
	givenUp: number;
	/** Longest time from the end of the faults to the voice wished for, ms. */
	slowestMs: number;
	violations: string[];
}

/** mulberry32: small, and good enough for dice. */
function dice(seed: number): () => number {
	let a = seed >>> 0;
	return () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let t = Math.imul(a ^ (a >>> 15), 1 | a);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
}

/** The device is where it should be when its speaker was killed too often. */
const GIVEN_UP = "it gave the voice up";

type Fault = (house: House, random: () => number) => Promise<void>;

/** Deaths while it loads a voice that make a device give the voice up. */
const DEATHS = 3;

/**
 * What makes a device give a voice up. By chance it does not come: three deaths have to fall into the
 * loading of one voice. A device without another voice is mute for a minute then, so only who asks gets it.
 */
export const SPEAKER_KILLED = "speaker killed while it loads";

/** Kills every speaker that is to load the voice wished for, until the device says that it has had enough. */
async function killSpeaker(h: House): Promise<void> {
	const { wished, said } = h;
	const { reported } = said;
	while (
		said.reported?.bundle !== wished?.digest &&
		// one that did not prove itself is never loaded
		(said.reported === reported || said.reported?.state !== "failed")
	)
		await delay(5);
	const enough = () =>
		said.reported?.reason?.code === "E_MODEL" ||
		said.reported?.bundle !== wished?.digest;
	while (!enough()) {
		for (const pid of await childrenOf(h.agent.pid))
			if (/speaker\/main/.test(await programOf(pid)) && !enough())
				try {
					process.kill(pid, "SIGKILL");
				} catch {
					// it ended by itself
				}
		await delay(5);
	}
}

/** What may go wrong. Each puts itself right again, or `heal` does. */
const FAULTS: Record<string, Fault> = {
	"agent killed": (h) => h.agent.kill(),
	"agent's child killed": async (h, random) => {
		// the speaker, or the trial when one is under way
		const children = await childrenOf(h.agent.pid);
		const pid = children[Math.floor(random() * children.length)];
		try {
			if (pid) process.kill(pid, "SIGKILL");
		} catch {
			// it ended by itself
		}
	},
	[SPEAKER_KILLED]: killSpeaker,
	"link cut": async (h) => {
		h.link.cut();
		h.account.interrupted();
	},
	"link away": async (h, random) => {
		h.account.interrupted();
		h.link.closed = true;
		h.link.cut();
		await delay(300 * random());
		h.link.closed = false;
	},
	"link slow": async (h, random) => {
		// so slow that a whole window may seem lost
		h.account.interrupted();
		h.link.rate = 20_000 + 200_000 * random();
		await delay(200 * random());
	},
	"broker killed": async (h) => {
		await h.broker.kill();
		h.account.interrupted();
	},
	"store killed": async (h) => {
		await h.store.kill();
		h.account.interrupted();
	},
	"blocks damaged": async (h, random) => {
		h.store.set({ corrupt: 1 + Math.floor(2 * random()) });
	},
	"disk full": async (h, random) => {
		h.agent.set({ full: true });
		await delay(400 * random());
		h.agent.set({ full: false });
	},
	"clock jumps": async (h, random) => {
		const years = [-50, -1, 0.01, 1, 200][Math.floor(random() * 5)] ?? 0;
		h.agent.set({ clockMs: years * 365.25 * 24 * 3600_000 });
		await delay(200 * random());
	},
	"part of a file rots": async (h, random) => {
		const dir = join(h.deviceDir, "store", "partial");
		const parts = (await readdir(dir).catch(() => [])).filter((n) =>
			n.endsWith(".part"),
		);
		const name = parts[Math.floor(random() * parts.length)];
		if (!name) return;
		const path = join(dir, name);
		const bytes = await readFile(path).catch(() => Buffer.alloc(0));
		if (bytes.byteLength === 0) return;
		const at = Math.floor(random() * bytes.byteLength);
		bytes[at] = (bytes[at] ?? 0) ^ 0x40;
		await writeFile(path, bytes, { flag: "r+" }).catch(() => undefined);
		// found when the pull goes on, or not before the whole file is hashed
		for (const file of h.voices.flatMap((voice) => voice.files))
			if (name.startsWith(file.sha256)) return h.account.spoilt(file);
	},
};

function heal(h: House): void {
	h.link.closed = false;
	h.link.rate = Number.POSITIVE_INFINITY;
	h.store.set({ corrupt: 0 });
	h.agent.set({ full: false, clockMs: 0 });
	// a slow connection has its own queue; a new one does not
	h.link.cut();
	h.account.interrupted();
}

async function say(
	h: House,
): Promise<{ status: number; bundle: string | null }> {
	const reply = await fetch(`${h.url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: "Yes." }),
		signal: AbortSignal.timeout(20_000),
	});
	await reply.arrayBuffer();
	return {
		status: reply.status,
		bundle: reply.headers.get("x-wattvox-bundle"),
	};
}

/** Everything that lies on the device is what was signed. */
async function inspect(h: House): Promise<string[]> {
	const wrong: string[] = [];
	const trust = trustKeys([h.key.publicKey]);
	const blobs = join(h.deviceDir, "store", "blobs", "sha256");
	// the device removes what nothing points to meanwhile: what is gone is not wrong
	for (const name of await readdir(blobs).catch(() => [])) {
		const bytes = await readFile(join(blobs, name)).catch(() => undefined);
		if (bytes && sha256(bytes) !== name)
			wrong.push(`blob ${name.slice(0, 8)} is not what its name says`);
	}
	const voices = join(h.deviceDir, "voices");
	for (const name of await readdir(voices).catch(() => []))
		if (!name.startsWith("."))
			await openBundle(join(voices, name), trust).catch(async (thrown) => {
				if ((await readdir(voices)).includes(name))
					wrong.push(`voice ${name.slice(0, 8)}: ${thrown.message}`);
			});
	return wrong;
}

/** Runs a campaign. */
export async function campaign(
	options: CampaignOptions,
): Promise<CampaignResult> {
	const {
		seed,
		every = 6,
		patienceMs = 120_000,
		log = () => undefined,
	} = options;
	const random = dice(seed);
	const house = await makeHouse(log);
	const result: CampaignResult = {
		seed,
		faults: {},
		looks: 0,
		spoken: 0,
		refused: 0,
		blocksSent: 0,
		blocksNeeded: 0,
		blocksAllowed: 0,
		givenUp: 0,
		slowestMs: 0,
		violations: [],
	};
	const names =
		options.only ?? Object.keys(FAULTS).filter((n) => n !== SPEAKER_KILLED);
	const good = house.voices.filter((v) => v.good);
	const pick = <T>(from: readonly T[]): T =>
		from[Math.floor(random() * from.length)] as T;
	const over = new AbortController();
	let lastGood: Wishable | undefined;
	let wished: Wishable | undefined;
	/** Good voices wished for since the last look: any of them may have become the last good one. */
	let candidates: Wishable[] = [];
	/** What it spoke with at each look. */
	const spoken: Wishable[] = [];
	/** Since the last look. */
	let childKills = 0;

	/** Somebody who speaks all the time. */
	const prober = (async () => {
		while (!over.signal.aborted) {
			if (lastGood)
				await say(house).then(
					({ status, bundle }) => {
						if (status === 200) result.spoken++;
						else result.refused++;
						const voice = house.voices.find((v) => v.digest === bundle);
						if (status === 200 && !voice?.good)
							result.violations.push("a voice spoke that did not pass");
					},
					// its process was killed; it comes back
					() => undefined,
				);
			await delay(50);
		}
	})();

	const look = async (last: string): Promise<void> => {
		result.looks++;
		heal(house);
		const begin = performance.now();
		const fail = (text: string) =>
			result.violations.push(`after "${last}", look ${result.looks}: ${text}`);
		let found = "";
		for (;;) {
			found = await settled().catch((thrown) => String(thrown));
			if (found === "") break;
			if (found === GIVEN_UP && wished) {
				// nobody kills it now: asked for again, it has to come
				result.givenUp++;
				childKills = 0;
				await wish(wished);
				continue;
			}
			if (performance.now() - begin > patienceMs) return void fail(found);
			await delay(50);
		}
		const took = performance.now() - begin;
		result.slowestMs = Math.max(result.slowestMs, Math.round(took));
		for (const wrong of await inspect(house)) fail(wrong);
		log(
			`look ${result.looks}: ${wished?.good ? "the voice wished for" : "the last good voice"} after ${Math.round(took)} ms`,
		);
		candidates = [];
		childKills = 0;
		if (lastGood) spoken.push(lastGood);
	};

	/** @returns "" when the device is where it should be, otherwise what is missing */
	const settled = async (): Promise<string> => {
		const { reported } = house.said;
		const { status, bundle } = await say(house);
		if (status !== 200) return `the speech API answers ${status}`;
		const speaks = house.voices.find((v) => v.digest === bundle);
		if (!speaks?.good) return "it speaks with what it should not";
		lastGood = speaks;
		if (wished?.good) {
			if (speaks === wished && reported?.state === "active") return "";
			return givenUp(speaks, reported)
				? GIVEN_UP
				: `it speaks with another voice (${reported?.state} ${reported?.reason?.message ?? ""})`;
		}
		if (reported?.state !== "failed") return `it reports ${reported?.state}`;
		if (reported.reason?.code !== "E_GOLDEN")
			return `it reports ${reported.reason?.code}: ${reported.reason?.message}`;
		return candidates.length === 0 || candidates.includes(speaks)
			? ""
			: "it went back further than the last good voice";
	};

	/**
	 * A speaker that was killed three times while it loaded a voice looks like a voice that kills its
	 * speaker: the device gives it up, says so, and goes back to the last good one.
	 */
	const givenUp = (speaks: Wishable, reported: Reported | undefined) => {
		const before = [...candidates, spoken.findLast((v) => v !== wished)];
		const { code, message = "" } = reported?.reason ?? {};
		return (
			childKills >= DEATHS &&
			speaks !== wished &&
			before.includes(speaks) &&
			reported?.state === "failed" &&
			reported.bundle === speaks.digest &&
			code === "E_MODEL" &&
			/ended \(SIGKILL\) \d+ times while loading/.test(message)
		);
	};

	const wish = async (voice: Wishable) => {
		wished = voice;
		if (voice.good) candidates.push(voice);
		await house.wish(voice);
	};

	try {
		await wish(pick(good));
		await look("start");
		for (let done = 0; done < options.faults; ) {
			if (lastGood) candidates.push(lastGood);
			let last = "";
			for (let n = 0; n < every && done < options.faults; n++, done++) {
				if (n === 0 || random() < 0.2) await wish(pick(house.voices));
				await delay(600 * random() ** 2);
				last = pick(names);
				result.faults[last] = (result.faults[last] ?? 0) + 1;
				if (last === "agent's child killed") childKills++;
				if (last === SPEAKER_KILLED) childKills += DEATHS;
				await FAULTS[last]?.(house, random);
			}
			await look(last);
			if (result.violations.length > 0) break;
		}
	} finally {
		over.abort();
		await prober;
		await house.stop();
	}
	result.blocksSent = house.sent.blocks - house.sent.corrupted;
	result.blocksNeeded = house.account.needed;
	result.blocksAllowed = house.account.allowed;
	if (result.blocksSent > result.blocksAllowed)
		result.violations.push(
			`the store sent ${result.blocksSent} blocks; ${result.blocksNeeded} were needed, and with what was interrupted ${result.blocksAllowed} are explained`,
		);
	return result;
}

const USAGE = `npm run bench -- faults [options]

  --faults N       how many (default 500)
  --seed N         of the dice; the same seed gives the same faults (default: random, printed)
  --patience N     seconds until the device must be where it should be (default 120);
                   more on a machine that is busy with other work
  --json           for programs
`;

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			faults: { type: "string", default: "500" },
			seed: { type: "string" },
			patience: { type: "string", default: "120" },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) return void process.stdout.write(USAGE);
	const faults = Number(values.faults);
	const patienceMs = 1000 * Number(values.patience);
	if (!(Number.isSafeInteger(faults) && faults > 0 && patienceMs > 0)) {
		process.stderr.write(USAGE);
		process.exitCode = 2;
		return;
	}
	const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
	const log = (text: string) => process.stderr.write(`${text}\n`);
	log(`seed ${seed}`);
	const result = await campaign({ faults, seed, patienceMs, log });
	process.stdout.write(
		values.json
			? `${JSON.stringify(result)}\n`
			: `${JSON.stringify(result, null, 2)}\n`,
	);
	process.exitCode = result.violations.length > 0 ? 1 : 0;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
