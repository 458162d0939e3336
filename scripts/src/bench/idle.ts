import { parseArgs } from "node:util";
import {
	catchInterrupts,
	plainProgress,
	silentProgress,
	table,
	WattvoxError,
} from "@wattvox/core";
import { DeviceRig } from "./device-rig.ts";
import { formatMachine, machineFacts } from "./machine.ts";
import { watch } from "./processes.ts";

const USAGE = `npm run bench -- idle --voice DIR [options]

  --voice DIR      a bundle's folder with an adapter; "tiny" for the tests' own
  --seconds N      to watch (default 60)
  --dir DIR        the disk to work on (default: here)
  --json           for programs
`;

/** The goals of the design's budget table. */
const GOAL = { agentMB: 100, speakerMB: 180, cpu: 0.01 };

/** Utterances before it is idle: a device that has never spoken has not taken its memory yet. */
const SPOKEN = 20;

/** `bench idle`: what a device costs while nobody asks it for anything. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		options: {
			voice: { type: "string" },
			seconds: { type: "string", default: "60" },
			dir: { type: "string", default: "." },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const seconds = Number(o.seconds);
	if (!o.voice || !(Number.isSafeInteger(seconds) && seconds > 0))
		throw new WattvoxError("E_USAGE", USAGE);
	const interrupts = catchInterrupts();
	const progress = o.json
		? silentProgress
		: plainProgress((line) => process.stderr.write(`${line}\n`));
	try {
		const result = await measureIdle(
			{ voice: o.voice, seconds, dir: o.dir },
			progress.note,
			interrupts.signal,
		);
		process.stdout.write(
			o.json ? `${JSON.stringify(result, null, "\t")}\n` : report(result),
		);
	} finally {
		interrupts.stop();
	}
}

type Result = Awaited<ReturnType<typeof measureIdle>>;

/**
 * Brings a voice to an agent, lets it speak, and watches both processes while nothing is asked of them.
 * @throws WattvoxError E_GOLDEN when the voice is refused; the signal's reason
 */
export async function measureIdle(
	o: { voice: string; seconds: number; dir: string },
	note: (line: string) => void,
	signal: AbortSignal,
) {
	note("starting a broker, a store and an agent ...");
	const rig = await DeviceRig.start(o.voice, o.dir, signal);
	try {
		const { path, digest } = await rig.bundle(0);
		await rig.publish(path, signal);
		await rig.speaks(digest, signal);
		for (let i = 0; i < SPOKEN; i++)
			await rig.say("The birch canoe slid on the smooth planks.", signal);
		note(`idle for ${o.seconds} s ...`);
		const { agent, speaker } = await watch(await rig.pids(), o.seconds, signal);
		return { machine: machineFacts(), seconds: o.seconds, agent, speaker };
	} finally {
		await rig.stop();
	}
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
