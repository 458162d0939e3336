import { table } from "@wattvox/core";
import { runDeviceBench, withSpeakingRig } from "./device-bench.ts";
import { formatMachine, machineFacts, median } from "./machine.ts";
import { processFacts } from "./processes.ts";

/** The goal of the design's budget table. */
const GOAL = { growth: 0.05 };

/** Of several lengths: memory that depends on the length is taken and given back again and again. */
const SENTENCES = [
	"Yes.",
	"Mind the gap.",
	"Glue the sheet to the dark blue background.",
	"It is easy to tell the depth of a well, and hard to tell what lies in it.",
];

/** Readings of the memory in a run. */
const READINGS = 100;

/** `bench soak`: does a device that speaks all day grow? */
export function run(argv: string[]): Promise<void> {
	return runDeviceBench(argv, {
		name: "soak",
		count: {
			name: "utterances",
			about: "to speak",
			default: 10_000,
			least: 10,
		},
		measure: ({ count, ...rest }, note, signal) =>
			soak({ ...rest, utterances: count }, note, signal),
		report,
	});
}

type Result = Awaited<ReturnType<typeof soak>>;

/**
 * Speaks utterance after utterance and reads the memory of agent and speaker on the way.
 * @throws WattvoxError E_GOLDEN when the voice is refused; the signal's reason
 */
export function soak(
	o: { voice: string; utterances: number; dir: string },
	note: (line: string) => void,
	signal: AbortSignal,
) {
	return withSpeakingRig(o, note, signal, async (rig) => {
		const pids = await rig.pids();
		const rss = { agent: [] as number[], speaker: [] as number[] };
		const every = Math.max(1, Math.round(o.utterances / READINGS));
		let failed = 0;
		for (let i = 1; i <= o.utterances; i++) {
			const text = SENTENCES[i % SENTENCES.length] ?? "";
			const { status } = await rig.say(text, signal);
			if (status !== 200) failed++;
			if (i % every !== 0) continue;
			for (const who of ["agent", "speaker"] as const)
				rss[who].push((await processFacts(pids[who])).rss);
			if ((10 * i) % o.utterances < 10 * every)
				note(
					`${i}: speaker ${((rss.speaker.at(-1) ?? 0) / 1e6).toFixed(0)} MB`,
				);
		}
		const { speaker } = await rig.status();
		return {
			machine: machineFacts(),
			utterances: o.utterances,
			failed,
			restarts: speaker.restarts,
			rss,
			agent: growth(rss.agent),
			speaker: growth(rss.speaker),
		};
	});
}

/**
 * The last tenth of the readings against the second tenth: the first is warming up, and single readings
 * depend on when garbage was collected last.
 */
export function growth(readings: readonly number[]) {
	const tenth = Math.max(1, Math.floor(readings.length / 10));
	const early = median(readings.slice(tenth, 2 * tenth));
	const late = median(readings.slice(-tenth));
	return { early, late, growth: late / early - 1 };
}

function report(r: Result): string {
	const MB = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
	const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
	const rows = (["agent", "speaker"] as const).map((who) => [
		`${who}, early and late`,
		`${MB(r[who].early)}, ${MB(r[who].late)}`,
		percent(r[who].growth),
		`< ${percent(GOAL.growth)}`,
		r[who].growth < GOAL.growth ? "met" : "MISSED",
	]);
	return `${formatMachine(r.machine)}; ${r.utterances} utterances, ${r.failed} failed, ${r.restarts} restarts of the speaker

${table(["resident", "medians", "growth", "goal", "verdict"], rows, ["left", "right", "right", "right"])}
`;
}
