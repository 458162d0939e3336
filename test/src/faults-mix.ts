import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BLOCK_BYTES } from "@wattvox/bundle";
import type { House } from "./faults-house.ts";
import { NORMAL_RATE } from "./faults-link.ts";
import { childrenOf, programOf } from "./faults-process.ts";

/** Something that goes wrong. It puts itself right again, or {@link heal} does. */
export type Fault = (house: House, random: () => number) => Promise<void>;

/** Deaths while it loads a voice that make a device give the voice up. */
export const DEATHS = 3;

/**
 * What makes a device give a voice up, which chance alone does not: three deaths have to fall into the loading
 * of one voice. A device without another voice is mute for a minute then.
 */
export const SPEAKER_KILLED = "speaker killed while it loads";

/** Once some blocks came, and before all did where there are many. */
export const KILLED_PULLING = "agent killed while it pulls";

/** After this long it is enough, ms: on a machine that is busy a device may not get so far. */
const KILLING_MS = 120_000;

/** Longest wait for a pull, ms; most begin at once. */
const PULL_MS = 60_000;

/** Kills every speaker that is to load the voice wished for, until the device says that it has had enough. */
async function killSpeaker(h: House): Promise<void> {
	// or the voice may never come
	heal(h);
	const { wished, said } = h;
	// given up already: it has to be asked for again
	if (wished && said.reported?.reason?.code === "E_MODEL") await h.wish(wished);
	const { reported } = said;
	const over = performance.now() + KILLING_MS;
	while (
		performance.now() < over &&
		said.reported?.bundle !== wished?.digest &&
		// one that did not prove itself is never loaded
		(said.reported === reported || said.reported?.state !== "failed")
	)
		await delay(5);
	const enough = () =>
		performance.now() > over ||
		said.reported?.reason?.code === "E_MODEL" ||
		said.reported?.bundle !== wished?.digest;
	while (!enough()) {
		for (const pid of await childrenOf(h.agent.pid))
			if (/speaker\/main/.test(await programOf(pid)) && !enough()) end(pid);
		await delay(5);
	}
}

/** What may go wrong. */
export const FAULTS: Record<string, Fault> = {
	"agent killed": (h) => h.agent.kill(),
	[KILLED_PULLING]: async (h) => {
		h.link.rate = 1_000_000;
		const before = h.device.read().length;
		const came = () =>
			h.device
				.read()
				.slice(before)
				.some((event) => event.is === "kept");
		const settled = () => {
			const { revision, state } = h.said.reported ?? {};
			return revision === h.revision && state !== "pulling";
		};
		const over = performance.now() + PULL_MS;
		while (!came() && !settled() && performance.now() < over) await delay(10);
		await h.agent.kill();
		h.link.rate = NORMAL_RATE;
	},
	"agent's child killed": async (h, random) => {
		// the speaker, or the trial when one is under way
		const children = await childrenOf(h.agent.pid);
		const pid = children[Math.floor(random() * children.length)];
		if (pid) end(pid);
	},
	[SPEAKER_KILLED]: killSpeaker,
	"trial killed": async (h) => {
		// when there is none for a while, none is killed
		for (let turns = 0; turns < 50; turns++) {
			for (const pid of await childrenOf(h.agent.pid))
				if (/trial-main/.test(await programOf(pid))) return end(pid);
			await delay(20);
		}
	},
	"keys rotated": (h) => h.rotate(),
	"a wish that has expired": async (h, random) => {
		const others = h.voices.filter((v) => v.good && v !== h.wished);
		const other = others[Math.floor(random() * others.length)];
		const { wished } = h;
		if (!other || !wished) return;
		await h.wishExpired(other);
		await delay(300 * random());
		await h.wish(wished);
	},
	"link cut": async (h) => {
		h.link.cut();
	},
	"link away": async (h, random) => {
		h.link.closed = true;
		h.link.cut();
		await delay(300 * random());
		h.link.closed = false;
	},
	"link slow": async (h, random) => {
		h.link.rate = 20_000 + 200_000 * random();
		await delay(200 * random());
	},
	"broker killed": async (h) => {
		await h.broker.kill();
	},
	"store killed": async (h) => {
		await h.store.kill();
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
	"part of a file rots": rotPart,
};

function end(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch {
		// it ended by itself
	}
}

/** Turns one bit of a file that is still coming, while its device stands still. */
async function rotPart(h: House, random: () => number): Promise<void> {
	const dir = join(h.deviceDir, "store", "partial");
	const parts = (await readdir(dir).catch(() => [])).filter((name) =>
		name.endsWith(".part"),
	);
	const name = parts[Math.floor(random() * parts.length)];
	const place = random();
	if (!name || !(await h.agent.pause())) return;
	let file: number | undefined;
	try {
		file = openSync(join(dir, name), "r+");
		const at = Math.floor(place * fstatSync(file).size);
		const byte = Buffer.alloc(1);
		if (readSync(file, byte, 0, 1, at) === 0) return;
		const block = Math.floor(at / BLOCK_BYTES);
		h.device.write({ is: "rot", file: name.slice(0, 64), block });
		byte[0] = (byte[0] ?? 0) ^ 0x40;
		writeSync(file, byte, 0, 1, at);
	} catch (thrown) {
		// it was put in its place meanwhile
		if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
	} finally {
		if (file !== undefined) closeSync(file);
		h.agent.goOn();
	}
}

/** Puts right what can be. */
export function heal(h: House): void {
	h.link.closed = false;
	h.link.rate = NORMAL_RATE;
	h.store.set({ corrupt: 0 });
	h.agent.set({ full: false, clockMs: 0 });
	// a slow connection has its own queue; a new one does not
	h.link.cut();
}
