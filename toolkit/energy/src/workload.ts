import { type Clock, systemClock, WattvoxError } from "@wattvox/core";
import { between, type MeterPoint } from "./integrate.ts";
import type { Meter } from "./meter.ts";
import { type Estimate, type Figure, figure, ratio } from "./ratio.ts";
import type { SourceDescription } from "./source.ts";

/**
 * The sentences of the fixed workload: phonetically balanced, and the same for every voice and
 * device, so that figures compare. IEEE Recommended Practice for Speech Quality Measurements
 * (1969), list 1 ("Harvard sentences").
 */
export const WORKLOAD_SENTENCES: readonly string[] = [
	"The birch canoe slid on the smooth planks.",
	"Glue the sheet to the dark blue background.",
	"It's easy to tell the depth of a well.",
	"These days a chicken leg is a rare dish.",
	"Rice is often served in round bowls.",
	"The juice of lemons makes fine punch.",
	"The box was thrown beside the parked truck.",
	"The hogs were fed chopped corn and garbage.",
	"Four hours of steady work faced us.",
	"A large size in stockings is hard to sell.",
];

export interface SpeechMeasurement {
	/** Full sentences on the method, for whoever prints the figures. */
	method: string;
	source: SourceDescription;
	utterances: number;
	audioSeconds: number;
	/** Seconds the workload ran. */
	seconds: number;
	/** Seconds of work per second of audio. */
	realTimeFactor: Figure;
	/** Watts before the workload began; null: unknown. */
	idleWatts: Figure | null;
	/** Watts while speaking back to back; null: unknown. */
	busyWatts: Figure | null;
	/**
	 * Joules per second of audio; null where the sensor did not cover the run. Gross: all power at a
	 * duty cycle of 100 %. Marginal: above idle.
	 */
	joulesPerAudioSecond: { gross: Figure; marginal: Figure } | null;
	measured: boolean;
}

export interface WorkloadOptions {
	/** A started meter. */
	meter: Meter;
	/** How long to speak, seconds; at least 30. */
	seconds?: number;
	/** How long to look at the idle machine before, seconds; at least 2. Default 10. */
	idleSeconds?: number;
	signal?: AbortSignal;
	/** Called after every utterance with the share done, 0..1. */
	onProgress?: (done: number) => void;
	/** For tests. */
	clock?: Clock;
}

/** Computes one whole utterance; nothing is played. */
export type Speak = (
	text: string,
	signal?: AbortSignal,
) => Promise<{ audioSeconds: number }>;

/** Blocks that the run is cut into: their scatter is the uncertainty. */
const BLOCKS = 12;
/** Less of the run than this covered by the sensor, and no figure is given. */
const ENOUGH = 0.95;

interface Block {
	seconds: number;
	audio: number;
	/** Joules, null: unknown. */
	joules: number | null;
}

/**
 * Joules per second of speech on the fixed workload: an idle baseline, then sentences back to back.
 *
 *   gross    = sum(E) / sum(a)                    E joules, a seconds of audio, t seconds, by block
 *   marginal = (sum(E) - P_idle * sum(t)) / sum(a)
 *   var(marginal) = var(ratio of E - P_idle * t to a) + (sum(t) / sum(a))^2 * var(P_idle)
 *
 * Intervals are 95 %, from Student's t over the blocks. They hold the scatter of this run; they do
 * not hold a sensor's calibration, nor how wrong an estimate's assumption is.
 *
 * @throws WattvoxError E_USAGE (too short a run), E_MODEL (no sound came); whatever `speak` throws; the signal's reason
 */
export async function measureSpeech(
	speak: Speak,
	options: WorkloadOptions,
): Promise<SpeechMeasurement> {
	const { meter, seconds = 30, idleSeconds = 10, signal } = options;
	const clock = options.clock ?? systemClock;
	if (seconds < 30 || idleSeconds < 2)
		throw new WattvoxError(
			"E_USAGE",
			"the fixed workload takes at least 30 s, and 2 s of idling before",
		);
	// Once unmeasured: what is loaded and compiled at the first sentence is not the sentence's cost.
	await speak(WORKLOAD_SENTENCES[0] as string, signal);
	const idle = await watchIdle(meter, idleSeconds, clock, signal);
	const run = await speakBackToBack(speak, { ...options, seconds }, clock);
	return report(meter.describe(), idle, run.blocks, run.utterances);
}

async function watchIdle(
	meter: Meter,
	seconds: number,
	clock: Clock,
	signal?: AbortSignal,
): Promise<Block[]> {
	const blocks: Block[] = [];
	const slices = Math.max(4, Math.min(BLOCKS, Math.floor(seconds)));
	let from = await moment(meter, clock);
	for (let i = 0; i < slices; i++) {
		await clock.sleep((seconds / slices) * 1000, signal);
		const to = await moment(meter, clock);
		blocks.push(block(from, to, 0));
		from = to;
	}
	return blocks;
}

async function speakBackToBack(
	speak: Speak,
	options: WorkloadOptions & { seconds: number },
	clock: Clock,
): Promise<{ blocks: Block[]; utterances: number }> {
	const { meter, seconds, signal, onProgress } = options;
	const blocks: Block[] = [];
	const begin = clock.monotonic();
	const elapsed = () => (clock.monotonic() - begin) / 1000;
	let from = await moment(meter, clock);
	let audio = 0;
	let utterances = 0;
	while (elapsed() < seconds) {
		signal?.throwIfAborted();
		const text = WORKLOAD_SENTENCES[utterances % WORKLOAD_SENTENCES.length];
		const { audioSeconds } = await speak(text as string, signal);
		if (!(audioSeconds > 0))
			throw new WattvoxError("E_MODEL", `no sound came of "${text}"`);
		audio += audioSeconds;
		utterances++;
		onProgress?.(Math.min(1, elapsed() / seconds));
		// A block ends with an utterance, so that its joules and its audio belong together.
		if (elapsed() < (seconds * (blocks.length + 1)) / BLOCKS) continue;
		const to = await moment(meter, clock);
		blocks.push(block(from, to, audio));
		from = to;
		audio = 0;
	}
	return { blocks, utterances };
}

interface Moment {
	/** Milliseconds: the pace is known even where the sensor is dead. */
	at: number;
	point: MeterPoint;
}

async function moment(meter: Meter, clock: Clock): Promise<Moment> {
	const point = await meter.point();
	return { at: clock.monotonic(), point };
}

function block(from: Moment, to: Moment, audio: number): Block {
	const energy = between(from.point, to.point);
	return {
		seconds: (to.at - from.at) / 1000,
		audio,
		joules: energy.coverage >= ENOUGH ? energy.joules : null,
	};
}

function report(
	source: SourceDescription,
	idle: readonly Block[],
	run: readonly Block[],
	utterances: number,
): SpeechMeasurement {
	const idleWatts = power(idle);
	const busyWatts = power(run);
	return {
		method: method(source, idle.length, run.length),
		source,
		utterances,
		audioSeconds: run.reduce((sum, b) => sum + b.audio, 0),
		seconds: run.reduce((sum, b) => sum + b.seconds, 0),
		realTimeFactor: figure(
			ratio(run.map((b) => ({ x: b.audio, y: b.seconds }))),
		),
		idleWatts: idleWatts && figure(idleWatts),
		busyWatts: busyWatts && figure(busyWatts),
		joulesPerAudioSecond:
			idleWatts && busyWatts && joulesPerAudio(run, idleWatts),
		measured: source.measured,
	};
}

function joulesPerAudio(run: readonly Block[], idle: Estimate) {
	const above = (watts: number) =>
		ratio(
			run.map((b) => ({ x: b.audio, y: (b.joules ?? 0) - watts * b.seconds })),
		);
	const marginal = above(idle.value);
	const pace = ratio(run.map((b) => ({ x: b.audio, y: b.seconds }))).value;
	return {
		gross: figure(above(0)),
		marginal: figure({
			value: marginal.value,
			variance: marginal.variance + pace ** 2 * idle.variance,
			// The smaller of the two: never narrower than the truth.
			df: Math.min(marginal.df, idle.df),
		}),
	};
}

/** Mean power over blocks, null when one of them is not known. */
function power(blocks: readonly Block[]): Estimate | null {
	const pairs: { x: number; y: number }[] = [];
	for (const { seconds, joules } of blocks) {
		if (joules === null) return null;
		pairs.push({ x: seconds, y: joules });
	}
	return ratio(pairs);
}

function method(source: SourceDescription, idle: number, run: number): string {
	return (
		`${source.measured ? "Measured" : "Estimated"} (${source.sensor}: ${source.scope}` +
		`${source.assumption ? `; ${source.assumption}` : ""}) ` +
		`over ${run} blocks of sentences spoken back to back after ${idle} of idling. ` +
		"Intervals are 95 %: ratio estimator over the blocks, Student's t, with the idle power's " +
		`own scatter in the marginal figure${source.measured ? "" : "; the assumption's error is not in them"}.`
	);
}
