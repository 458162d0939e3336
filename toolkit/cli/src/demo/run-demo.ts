import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ExportCheck, Segment, VoiceRun } from "@wattvox/cloud-trainer";
import {
	ensureWritableDir,
	formatSeconds,
	MemoryWatch,
	type PeakMemory,
	writeAtomic,
} from "@wattvox/core";
import type { LedgerSummary, SpeechMeasurement } from "@wattvox/energy";
import type { PowerTable } from "@wattvox/fleet";
import { type Books, booked } from "../booked.ts";
import type { Io } from "../command.ts";
import {
	LOGS,
	openOrPrepare,
	preparedResult,
	type Trained,
	trained,
} from "../training.ts";
import { asWritten } from "./as-written.ts";
import { ask, type Spoken } from "./ask.ts";
import { DEVICE, FLEET, openHouse } from "./house.ts";
import { type Likeness, likeness } from "./likeness.ts";
import { measured } from "./measure.ts";
import { stage } from "./stage.ts";

export interface DemoOptions {
	clip: string;
	transcript: string;
	/** Folder of the base. */
	base: string;
	/** Folder of everything that comes out. */
	out: string;
	/** What the new voice says. */
	sentences: readonly string[];
	threads: number;
	/** At most so many steps of each training. */
	steps?: number;
	consent: string;
	/** The base is known to have trained without this voice. */
	unheard: boolean;
	/** Seconds of the fixed workload; undefined: only where a sensor measures, and then 30. */
	workload?: number;
}

/** What the demonstration came to. */
export interface DemoResult {
	run: VoiceRun;
	fineTune: Trained;
	distil: Trained;
	exported: { digest: string; check: ExportCheck; adapterBytes: number };
	/** The longest segment of the clip that training did not see, and how the new voice says it. */
	heldOut: { segment: Segment; spoken: Spoken } | undefined;
	spoken: Spoken[];
	/** Paths of the wav files. */
	files: string[];
	likeness: Likeness;
	/** Seconds of computing per second of sound, by the device's own count. */
	realTimeFactor: number | null;
	workload: SpeechMeasurement | undefined;
	power: PowerTable;
	energy: LedgerSummary;
	/** The most that this process and its children held at one moment. */
	memory: PeakMemory;
	/** A few words on each stage. */
	results: Record<string, string>;
}

const REPORT = "report.html";
/** What a demonstration leaves; only these are removed before the next one. */
const LEFTOVERS = ["run", "voice", "house", "keys", REPORT];

/**
 * The main job on this machine: clip -> adapter -> bundle -> device -> speech. One that was
 * interrupted goes on; one that had finished is begun anew.
 */
export async function runDemo(o: DemoOptions, io: Io): Promise<DemoResult> {
	await ensureWritableDir(o.out);
	if (existsSync(join(o.out, REPORT)))
		for (const name of LEFTOVERS)
			await rm(join(o.out, name), { recursive: true, force: true });
	const { RUN } = await import("@wattvox/cloud-trainer");
	const memory = new MemoryWatch();
	memory.start();
	try {
		const done = await booked(
			join(o.out, "run", RUN.ledger),
			(books) => allStages(o, io, books),
			{ job: "demo" },
		);
		return { ...done, memory: memory.peak() };
	} finally {
		memory.stop();
	}
}

async function allStages(
	o: DemoOptions,
	io: Io,
	books: Books,
): Promise<Booked> {
	const trainer = await import("@wattvox/cloud-trainer");
	const results: Record<string, string> = {};
	const run = await openOrPrepare(
		{
			clip: o.clip,
			text: o.transcript,
			out: join(o.out, "run"),
			base: o.base,
			name: "demo",
			consent: o.consent,
			signal: io.signal,
		},
		io,
		books,
	);
	results.prepare = preparedResult(run);
	const request = {
		threads: o.threads,
		...(o.steps !== undefined && { steps: o.steps }),
	};
	const fineTune = await trained(
		"fine-tune",
		join(run.dir, LOGS["fine-tune"]),
		(r) => trainer.fineTune(run, r),
		request,
		io,
		books,
	);
	results["fine-tune"] = fineTune.result;
	const distil = await trained(
		"distil",
		join(run.dir, LOGS.distil),
		(r) => trainer.distil(run, r),
		request,
		io,
		books,
	);
	results.distil = distil.result;
	const key = await builderKey(join(o.out, "keys"));
	const bundle = join(o.out, "voice");
	const exported = await stage("export", io, books, async () => {
		const { makePassport } = await import("@wattvox/energy");
		const passport = makePassport(books.ledger.summary());
		const { signal } = io;
		const made = await trainer.exportVoice(run, bundle, {
			key,
			passport,
			signal,
		});
		results.export = `adapter of ${Math.round(made.adapterBytes / 1000)} kB, max difference ${Number(made.check.wave.toPrecision(2))}`;
		return [made, results.export];
	});
	return deliver(
		o,
		io,
		books,
		{ run, fineTune, distil, exported, results },
		key,
	);
}

type Booked = Omit<DemoResult, "memory">;

type Made = Pick<
	DemoResult,
	"run" | "fineTune" | "distil" | "exported" | "results"
>;

/** From the bundle on: publish, pull, verify, speak, measure. */
async function deliver(
	o: DemoOptions,
	io: Io,
	books: Books,
	made: Made,
	key: Awaited<ReturnType<typeof builderKey>>,
): Promise<Booked> {
	const { publish } = await import("@wattvox/fleet");
	const { results, run } = made;
	const house = await openHouse(join(o.out, "house"), key, io.signal);
	try {
		await stage("publish and pull", io, books, async () => {
			const { digest } = await publish(join(o.out, "voice"), house.store, {
				fleet: FLEET,
				devices: [DEVICE],
				key,
				broker: { url: house.brokerUrl },
				signal: io.signal,
			});
			await house.agent.speaksWith(digest, io.signal);
			const { trial } = house.agent.status();
			results["publish and pull"] =
				`${digest.slice(0, 12)} verified${trial ? `, golden sentences within ${trial.melDistance.toFixed(2)}` : ""}`;
			return [undefined, results["publish and pull"]];
		});
		const [held] = run.segments
			.filter((s) => s.split === "val")
			.sort((a, b) => b.frames - a.frames);
		const { url } = house.agent;
		const [said, spoken] = await stage("speak", io, books, async () => {
			const utter = (text: string) =>
				books.ledger.utterance(text, async () => {
					const said = await ask(url, text, io.signal);
					const audioSeconds = said.samples.length / said.sampleRate;
					return { ...said, audioSeconds };
				});
			const first = held && (await utter(asWritten(run.text, held.text)));
			const all: Spoken[] = [];
			for (const text of o.sentences) all.push(await utter(text));
			const seconds = [...(first ? [first] : []), ...all].reduce(
				(sum, s) => sum + s.samples.length / s.sampleRate,
				0,
			);
			results.speak = `${all.length + (first ? 1 : 0)} utterances, ${formatSeconds(seconds)} of sound`;
			return [[first, all] as const, results.speak];
		});
		const workload = await measured(o.workload, url, io, books);
		if (workload)
			results.measure = `${workload.utterances} utterances back to back`;
		const files = await saveAll(o.out, run.name, said, spoken);
		const alike = await likeness(run, [...(said ? [said] : []), ...spoken]);
		const power = await house.stop();
		return {
			...made,
			heldOut: held && said && { segment: held, spoken: said },
			spoken,
			files,
			likeness: alike,
			realTimeFactor: power.total.realTimeFactor,
			workload,
			power,
			energy: books.ledger.summary(),
		};
	} finally {
		await house.stop();
	}
}

async function saveAll(
	out: string,
	voice: string,
	heldOut: Spoken | undefined,
	spoken: readonly Spoken[],
): Promise<string[]> {
	const [{ writeWav }, { syntheticTag }] = await Promise.all([
		import("@wattvox/speech"),
		import("@wattvox/synth"),
	]);
	const files: string[] = [];
	const save = async (name: string, s: Spoken) => {
		const path = join(out, name);
		const comment = syntheticTag(voice);
		await writeAtomic(path, writeWav(s.samples, s.sampleRate, { comment }));
		files.push(path);
	};
	for (const [i, s] of spoken.entries()) await save(`sentence-${i + 1}.wav`, s);
	if (heldOut) await save("held-out.wav", heldOut);
	return files;
}

/** The demonstration's signing key: made once, kept beside what it signed. */
async function builderKey(dir: string) {
	const { loadPrivateKey, writeKeys } = await import("@wattvox/bundle");
	const path = join(dir, "builder.key");
	if (await readFile(path).catch(() => undefined)) return loadPrivateKey(path);
	return (await writeKeys(dir, "builder")).key;
}
