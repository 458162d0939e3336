// The fault campaign: real processes, a real broker, random faults at random moments.
import { setTimeout as delay } from "node:timers/promises";
import type { Reported } from "@wattvox/link";
import type { Account } from "./faults-account.ts";
import { makeHouse, type Wishable } from "./faults-house.ts";
import { inspect, say } from "./faults-look.ts";
import { DEATHS, FAULTS, heal, SPEAKER_KILLED } from "./faults-mix.ts";

export interface CampaignOptions {
	faults: number;
	/** Equal seeds give equal faults at equal moments; what they meet there is the machine's. */
	seed: number;
	/** Faults between two looks at the whole device. */
	every?: number;
	/** Faults to choose from. Default: all. */
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
	/** Where every block that was asked for and sent belongs. */
	blocks: Omit<Account, "violations">;
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
		blocks: {
			...{ asked: 0, needed: 0, again: {} },
			...{ sent: 0, sentBytes: 0, damaged: 0 },
		},
		givenUp: 0,
		slowestMs: 0,
		violations: [],
	};
	const names = options.only ?? Object.keys(FAULTS);
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
	const everWished = new Set<Wishable>();
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
						if (status !== 200) return;
						if (!voice?.good)
							result.violations.push("a voice spoke that did not pass");
						else if (!everWished.has(voice))
							result.violations.push("a voice spoke whose wish had expired");
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
		const { violations, ...blocks } = house.account();
		result.blocks = blocks;
		for (const wrong of violations) fail(wrong);
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
		return candidates.length === 0 || mayBeLast(speaks)
			? ""
			: "it went back further than the last good voice";
	};

	/**
	 * Whether it may be the last good voice. When one was given up it is the one before, which may have been
	 * active for a moment long ago.
	 */
	const mayBeLast = (voice: Wishable) =>
		childKills >= DEATHS ? everWished.has(voice) : candidates.includes(voice);

	/**
	 * A speaker that was killed three times while it loaded a voice looks like a voice that kills its
	 * speaker: the device gives it up, says so, and goes back to the last good one.
	 */
	const givenUp = (speaks: Wishable, reported: Reported | undefined) => {
		const { code, message = "" } = reported?.reason ?? {};
		return (
			childKills >= DEATHS &&
			speaks !== wished &&
			mayBeLast(speaks) &&
			reported?.state === "failed" &&
			reported.bundle === speaks.digest &&
			code === "E_MODEL" &&
			/ended \(SIGKILL\) \d+ times while loading/.test(message)
		);
	};

	const wish = async (voice: Wishable) => {
		wished = voice;
		everWished.add(voice);
		if (voice.good) candidates.push(voice);
		await house.wish(voice);
	};

	try {
		await wish(pick(good));
		await look("start");
		const fine = () => result.violations.length === 0;
		for (let done = 0; done < options.faults && fine(); ) {
			if (lastGood) candidates.push(lastGood);
			let last = "";
			for (let n = 0; n < every && done < options.faults; n++, done++) {
				if (n === 0 || random() < 0.2) await wish(pick(house.voices));
				await delay(600 * random() ** 2);
				last = pick(names);
				// it takes its time, and leaves a device mute that has no other voice
				const other = wished?.good && spoken.some((v) => v !== wished);
				if (last === SPEAKER_KILLED && !options.only)
					if (!other || random() < 0.5) last = "trial killed";
				log(`  ${wished?.name}, ${last}`);
				result.faults[last] = (result.faults[last] ?? 0) + 1;
				if (last === "agent's child killed") childKills++;
				if (last === SPEAKER_KILLED) childKills += DEATHS;
				await FAULTS[last]?.(house, random);
			}
			await look(last);
		}
	} finally {
		over.abort();
		await prober;
		await house.stop();
	}
	return result;
}
