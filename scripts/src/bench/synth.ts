import { parseArgs } from "node:util";
import {
	catchInterrupts,
	plainProgress,
	silentProgress,
	table,
	WattvoxError,
} from "@wattvox/core";
import {
	type Figure,
	Meter,
	measureSpeech,
	openPowerSource,
	type SpeechMeasurement,
	WORKLOAD_SENTENCES,
} from "@wattvox/energy";
import { createEngine, EngineHost } from "@wattvox/runtime";
import { Voice } from "@wattvox/synth";
import { spellingFrontend, tinyVoice } from "@wattvox/synth/testing";
import { BareSessions, Recorder } from "./bare-sessions.ts";
import { formatMachine, machineFacts, median, quantile } from "./machine.ts";

const USAGE = `npm run bench -- synth --voice DIR [options]

  --voice DIR      a bundle's folder; "tiny" for the tests' own noise-maker
  --threads N      of ONNX Runtime (default 1)
  --runs N         of each kind, alternating (default 15)
  --no-energy      leave out the fixed workload (40 s)
  --json           for programs
`;

/** The goals of the design's budget table. */
const GOAL = { realTimeFactor: 0.05, firstSoundMs: 150, overhead: 0.05 };

interface Options {
	voice: string;
	threads: number;
	runs: number;
	energy: boolean;
}

/** `bench synth`: how fast a voice speaks, how soon, and what we add to ONNX Runtime. */
export async function run(argv: string[]): Promise<void> {
	const { values: o } = parseArgs({
		args: argv,
		allowNegative: true,
		options: {
			voice: { type: "string" },
			threads: { type: "string", default: "1" },
			runs: { type: "string", default: "15" },
			energy: { type: "boolean", default: true },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	if (o.help) return void process.stdout.write(USAGE);
	const [threads, runs] = [Number(o.threads), Number(o.runs)];
	const counts = [threads, runs].every((n) => Number.isSafeInteger(n) && n > 0);
	if (!o.voice || !counts) throw new WattvoxError("E_USAGE", USAGE);
	const interrupts = catchInterrupts();
	const progress = o.json
		? silentProgress
		: plainProgress((line) => process.stderr.write(`${line}\n`));
	try {
		const result = await measure(
			{ voice: o.voice, threads, runs, energy: o.energy },
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

async function measure(
	o: Options,
	note: (line: string) => void,
	signal: AbortSignal,
) {
	const recorder = new Recorder();
	const host = new EngineHost();
	const tiny = o.voice === "tiny";
	const voice = await Voice.load(tiny ? tinyVoice() : o.voice, {
		...(tiny && { frontend: spellingFrontend }),
		signal,
		engine: async (graph, { signal }) =>
			recorder.wrap(
				graph,
				await createEngine(graph, { threads: o.threads, host, signal }),
			),
	});
	try {
		note("real-time factor, against bare ONNX Runtime ...");
		const pace = await measurePace(voice, recorder, o, signal);
		note("first sound ...");
		const [one = ""] = WORKLOAD_SENTENCES;
		const all = WORKLOAD_SENTENCES.join(" ");
		const firstSound = {
			sentence: await firstSounds(voice, one, o.runs, signal),
			page: await firstSounds(voice, `${all} ${all}`, o.runs, signal),
		};
		if (o.energy)
			note("the fixed workload: 10 s of idling, 30 s of speech ...");
		const speech = o.energy ? await measureEnergy(voice, signal) : null;
		return {
			machine: machineFacts(),
			voice: voice.config.name,
			threads: o.threads,
			runs: o.runs,
			...pace,
			firstSound,
			speech,
		};
	} finally {
		await voice.dispose();
	}
}

/** What a kind of run took: seconds by the clock, and seconds of the process's processor time. */
interface Pace {
	wall: number[];
	cpu: number[];
}

/**
 * The same sentences by the product and by bare sessions, turn about, each leading every other time: what
 * else runs on the machine then falls on both.
 */
async function measurePace(
	voice: Voice,
	recorder: Recorder,
	o: Options,
	signal: AbortSignal,
) {
	const text = WORKLOAD_SENTENCES.slice(0, 3).join(" ");
	recorder.recorded = [];
	let { audioSeconds } = await speak(voice, text, signal);
	const bare = await BareSessions.make(recorder.recorded, o.threads);
	recorder.recorded = undefined;
	const pace = {
		product: { wall: [], cpu: [] } as Pace,
		bare: { wall: [], cpu: [] } as Pace,
	};
	const kinds = [
		["bare", () => bare.replay()],
		[
			"product",
			async () => {
				({ audioSeconds } = await speak(voice, text, signal));
			},
		],
	] as const;
	try {
		await bare.replay(); // the first run allocates
		for (let i = 0; i < o.runs; i++)
			for (const [kind, work] of i % 2 ? kinds : kinds.toReversed()) {
				signal.throwIfAborted();
				const { wall, cpu } = await timed(work);
				pace[kind].wall.push(wall);
				pace[kind].cpu.push(cpu);
			}
	} finally {
		await bare.release();
	}
	return {
		audioSeconds,
		seconds: pace,
		realTimeFactor: median(pace.product.wall) / audioSeconds,
		overhead: excess(pace.product.wall, pace.bare.wall),
		cpuOverhead: excess(pace.product.cpu, pace.bare.cpu),
	};
}

async function timed(work: () => Promise<unknown>) {
	const cpu = process.cpuUsage();
	const begin = performance.now();
	await work();
	const wall = (performance.now() - begin) / 1000;
	const { user, system } = process.cpuUsage(cpu);
	return { wall, cpu: (user + system) / 1e6 };
}

/** By how much `a` exceeds `b`: the median over the pairs, each of two neighbours in time. */
function excess(a: readonly number[], b: readonly number[]): number {
	return median(a.map((x, i) => x / (b[i] ?? Number.NaN) - 1));
}

async function speak(voice: Voice, text: string, signal?: AbortSignal) {
	const begin = performance.now();
	const utterance = voice.speak(text, { signal, pauseMs: 0 });
	let samples = 0;
	for await (const chunk of utterance) samples += chunk.length;
	return {
		seconds: (performance.now() - begin) / 1000,
		audioSeconds: samples / utterance.sampleRate,
	};
}

/** Milliseconds until the first samples; the rest is not waited for. */
async function firstSounds(
	voice: Voice,
	text: string,
	runs: number,
	signal: AbortSignal,
) {
	const ms: number[] = [];
	for (let i = 0; i < runs; i++) {
		const begin = performance.now();
		for await (const _ of voice.speak(text, { signal })) break;
		ms.push(performance.now() - begin);
	}
	return { medianMs: median(ms), p95Ms: quantile(ms, 0.95) };
}

async function measureEnergy(
	voice: Voice,
	signal: AbortSignal,
): Promise<SpeechMeasurement> {
	const { source } = await openPowerSource();
	const meter = new Meter(source);
	await meter.start(signal);
	try {
		return await measureSpeech((text) => speak(voice, text, signal), {
			meter,
			signal,
		});
	} finally {
		await meter.stop();
		await source.close();
	}
}

function report(r: Awaited<ReturnType<typeof measure>>): string {
	const goal = (value: number, most: number, show: (n: number) => string) => [
		show(value),
		`<= ${show(most)}`,
		value <= most ? "met" : "MISSED",
	];
	const percent = (n: number) => `${(100 * n).toFixed(1)} %`;
	const ms = (n: number) => `${n.toFixed(0)} ms`;
	const rows = [
		[
			"real-time factor",
			...goal(r.realTimeFactor, GOAL.realTimeFactor, (n) => n.toFixed(4)),
		],
		["over bare ONNX Runtime", ...goal(r.overhead, GOAL.overhead, percent)],
		["the same, in processor time", percent(r.cpuOverhead)],
		[
			"first sound, one sentence, p95",
			...goal(r.firstSound.sentence.p95Ms, GOAL.firstSoundMs, ms),
		],
		[
			"first sound, 20 sentences, p95",
			...goal(r.firstSound.page.p95Ms, GOAL.firstSoundMs, ms),
		],
	];
	return `${formatMachine(r.machine)}; voice ${r.voice}, ${r.threads} threads, medians of ${r.runs} alternating pairs

${table(["", "figure", "goal", "verdict"], rows, ["left", "right", "right"])}
${r.speech ? energyReport(r.speech) : ""}`;
}

function energyReport(s: SpeechMeasurement): string {
	const figure = (f: Figure | null | undefined, unit: string) =>
		!f
			? "unknown"
			: `${f.value.toPrecision(3)} ± ${f.plusMinus?.toPrecision(2) ?? "unknown"} ${unit}`;
	const label = s.measured ? "" : "est. ";
	const joules = s.joulesPerAudioSecond;
	const rows = [
		["real-time factor, back to back", figure(s.realTimeFactor, "")],
		[`${label}gross, per second of speech`, figure(joules?.gross, "J")],
		[`${label}above idle, per second of speech`, figure(joules?.marginal, "J")],
		[`${label}idle power`, figure(s.idleWatts, "W")],
		[`${label}power while speaking`, figure(s.busyWatts, "W")],
	];
	return `
${table(["fixed workload", "figure"], rows, ["left", "right"])}

${s.method}
`;
}
