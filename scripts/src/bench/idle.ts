import { table } from "@wattvox/core";
import { runDeviceBench, withSpeakingRig } from "./device-bench.ts";
import { formatMachine, machineFacts } from "./machine.ts";
import { watch } from "./processes.ts";

/** The goals of the design's budget table. */
const GOAL = { agentMB: 100, speakerMB: 180, cpu: 0.01 };

/** Utterances before it is idle: a device that has never spoken has not taken its memory yet. */
const SPOKEN = 20;

/** `bench idle`: what a device costs while nobody asks it for anything. */
export function run(argv: string[]): Promise<void> {
	return runDeviceBench(argv, {
		name: "idle",
		count: { name: "seconds", about: "to watch", default: 60, least: 1 },
		measure: ({ count, ...rest }, note, signal) =>
			measureIdle({ ...rest, seconds: count }, note, signal),
		report,
	});
}

type Result = Awaited<ReturnType<typeof measureIdle>>;

/**
 * Brings a voice to an agent, lets it speak, and watches both processes while nothing is asked of them.
 * @throws WattvoxError E_GOLDEN when the voice is refused; the signal's reason
 */
export function measureIdle(
	o: { voice: string; seconds: number; dir: string },
	note: (line: string) => void,
	signal: AbortSignal,
) {
	return withSpeakingRig(o, note, signal, async (rig) => {
		for (let i = 0; i < SPOKEN; i++)
			await rig.say("The birch canoe slid on the smooth planks.", signal);
		note(`idle for ${o.seconds} s ...`);
		const { agent, speaker } = await watch(await rig.pids(), o.seconds, signal);
		return { machine: machineFacts(), seconds: o.seconds, agent, speaker };
	});
}

function report(r: Result): string {
	const MB = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
	const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
	const memory = (what: string, bytes: number, most: number) => [
		`${what}, resident`,
		MB(bytes),
		`<= ${most} MB`,
		bytes <= most * 1e6 ? "met" : "MISSED",
	];
	const cpu = r.agent.cpu + r.speaker.cpu;
	const rows = [
		memory("agent", r.agent.rss, GOAL.agentMB),
		memory("speaker, a voice loaded", r.speaker.rss, GOAL.speakerMB),
		["agent, of one core", percent(r.agent.cpu)],
		["speaker, of one core", percent(r.speaker.cpu)],
		[
			"both, of one core",
			percent(cpu),
			`<= ${percent(GOAL.cpu)}`,
			cpu <= GOAL.cpu ? "met" : "MISSED",
		],
		["agent, at most so far", MB(r.agent.peakRss)],
		["speaker, at most so far", MB(r.speaker.peakRss)],
	];
	return `${formatMachine(r.machine)}; idle for ${r.seconds} s after ${SPOKEN} utterances

${table(["", "figure", "goal", "verdict"], rows, ["left", "right", "right"])}
`;
}
