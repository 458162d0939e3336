import { setTimeout } from "node:timers/promises";
import { table } from "@wattvox/core";
import { runDeviceBench, withSpeakingRig } from "./device-bench.ts";
import type { DeviceRig } from "./device-rig.ts";
import { formatMachine, machineFacts, median } from "./machine.ts";
import { processFacts } from "./processes.ts";

/** The goal of the design's budget table, for one voice. */
const GOAL_MB = 180;

const SENTENCE = "The birch canoe slid on the smooth planks.";
/** Utterances by each voice before its memory is read. */
const SPOKEN = 10;
/** An allocator gives back what it does not need within this, ms. */
const SETTLE_MS = 3000;

/** `bench voices`: what each further voice in memory costs, and what loading it costs the active one. */
export function run(argv: string[]): Promise<void> {
	return runDeviceBench(argv, {
		name: "voices",
		count: {
			name: "voices",
			about: "in memory at last, all on one base",
			default: 3,
			least: 1,
		},
		measure: ({ count, ...rest }, note, signal) =>
			measureVoices({ ...rest, voices: count }, note, signal),
		report,
	});
}

interface Step {
	/** Of the speaker, bytes. */
	rss: number;
	/** Of the voice's first utterance, its loading included. */
	firstSoundMs: number;
	/** What utterances of the active voice took meanwhile. */
	active: number[];
}

type Result = Awaited<ReturnType<typeof measureVoices>>;

/**
 * Brings voices to a device, starts its speaker anew, and asks for one after the other while the active
 * one is asked for without a pause.
 * @throws WattvoxError E_GOLDEN when a voice is refused; the signal's reason
 */
export function measureVoices(
	o: { voice: string; voices: number; dir: string },
	note: (line: string) => void,
	signal: AbortSignal,
) {
	return withSpeakingRig(
		o,
		note,
		signal,
		async (rig, first) => {
			const digests = [first];
			for (let i = 1; i < o.voices; i++) {
				const { path, digest } = await rig.bundle(i);
				await rig.publish(path, signal);
				await rig.speaks(digest, signal);
				digests.unshift(digest);
			}
			// what updates took and gave back is not what a voice takes
			await startAnew(rig, signal);
			const steps: Step[] = [];
			let alone: number[] = [];
			for (const digest of digests) {
				note(`voice ${steps.length + 1} of ${o.voices} ...`);
				const loaded = new AbortController();
				const meanwhile =
					steps.length > 0 ? talk(rig, loaded.signal, signal) : undefined;
				const { firstAt, beginAt } = await rig.say(SENTENCE, signal, digest);
				loaded.abort();
				const active = (await meanwhile) ?? [];
				const ms = await speak(rig, digest, signal);
				if (steps.length === 0) alone = ms;
				await setTimeout(SETTLE_MS, undefined, { signal });
				const { rss } = await processFacts((await rig.pids()).speaker);
				steps.push({ rss, firstSoundMs: firstAt - beginAt, active });
			}
			return {
				machine: machineFacts(),
				steps,
				aloneMs: median(alone),
				restarts: (await rig.status()).speaker.restarts - 1,
			};
		},
		[
			"--loaded-voices",
			String(o.voices),
			"--keep-voices",
			"9",
			"--voices-mb",
			"4000",
		],
	);
}

/** Ends the speaker; the agent starts another, which has the active voice alone. */
async function startAnew(rig: DeviceRig, signal: AbortSignal): Promise<void> {
	const { speaker } = await rig.pids();
	process.kill(speaker, "SIGKILL");
	for (;;) {
		const { status } = await rig.say(SENTENCE, signal);
		const now = await rig.status();
		if (status === 200 && now.speaker.restarts > 0 && now.speaker.pid) return;
		await setTimeout(50, undefined, { signal });
	}
}

/** Lets a voice speak. @returns what each utterance took, ms */
async function speak(
	rig: DeviceRig,
	voice: string | undefined,
	signal: AbortSignal,
): Promise<number[]> {
	const ms: number[] = [];
	for (let i = 0; i < SPOKEN; i++) {
		const { beginAt, endAt } = await rig.say(SENTENCE, signal, voice);
		ms.push(endAt - beginAt);
	}
	return ms;
}

/** Asks for the active voice until it is over. @returns what each utterance took, ms */
async function talk(
	rig: DeviceRig,
	over: AbortSignal,
	signal: AbortSignal,
): Promise<number[]> {
	const ms: number[] = [];
	while (!over.aborted) {
		const { status, beginAt, endAt } = await rig.say(SENTENCE, signal);
		ms.push(status === 200 ? endAt - beginAt : Number.POSITIVE_INFINITY);
	}
	return ms;
}

function report(r: Result): string {
	const ms = (n: number) => `${n.toFixed(0)} ms`;
	const rows = r.steps.map(({ rss, firstSoundMs, active }, i) => [
		`${i + 1}`,
		`${(rss / 1e6).toFixed(0)} MB`,
		i === 0
			? `<= ${GOAL_MB} MB ${rss <= GOAL_MB * 1e6 ? "met" : "MISSED"}`
			: "",
		i === 0 ? "" : ms(firstSoundMs),
		i === 0 ? ms(r.aloneMs) : ms(median(active)),
		i === 0 ? "" : ms(Math.max(...active)),
	]);
	return `${formatMachine(r.machine)}; voices of one base, loaded one after the other; the speaker ended ${r.restarts} times

${table(
	[
		"voices",
		"speaker, resident",
		"goal",
		"new one's first sound",
		"an utterance of the active one meanwhile",
		"slowest",
	],
	rows,
	["right", "right", "left", "right", "right", "right"],
)}
`;
}
