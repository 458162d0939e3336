import { readFile } from "node:fs/promises";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import type {
	BuildProgress,
	EngineKey,
	Precision,
	Workshop,
} from "@wattvox/runtime/tensorrt";
import { type Frontend, parseGolden, readVoiceFiles } from "@wattvox/synth";
import {
	decoderModel,
	type GoldenRun,
	goldenRuns,
} from "@wattvox/synth/tensorrt";
import { EngineAbsent } from "./absent.ts";
import { attempt, type Given, OTHER_WAY } from "./attempt.ts";
import type { EngineCache } from "./engine-cache.ts";
import type { JudgedEngine, Way } from "./judge.ts";

/** What is asked of an engine beside its voice. */
export interface EngineWish {
	precision: Precision;
	/** TensorRT's scratch memory, bytes; 512 MiB by default. */
	workspaceBytes?: number;
	/** Builder optimisation level 0 to 5; TensorRT's default when absent. */
	level?: number;
	/** Longest a build may take, ms. */
	deadlineMs?: number;
	/** Private memory of each child process that has TensorRT, bytes; 2 GiB by default. */
	memoryBytes?: number;
}

export interface PrepareOptions extends EngineWish {
	/** A laid-out bundle. */
	dir: string;
	/** Its digest, or any other name of it in 64 hex digits. */
	voice: string;
	/** Path of its golden.json; null when it has none. */
	golden: string | null;
	cache: EngineCache;
	workshop: Workshop;
	/** Who builds; the workshop's own builder by default. */
	builder?: Pick<Workshop, "buildEngine">;
	/** Builder keys whose engines may be used beside those built here. Default: none. */
	builders?: readonly string[];
	/**
	 * Brings an engine that a build station made into the cache, so that it need not be built here.
	 * @returns the id of the trusted builder key that signed it; null when there is none to be had
	 */
	bring?: (key: EngineKey) => Promise<string | null>;
	/**
	 * Where an engine may come from: "anywhere" also builds one; "store" takes what lies in the cache, or what
	 * `bring` brings; "cache" takes what lies in the cache, and refits it where need be. Default "anywhere".
	 */
	from?: "anywhere" | "store" | "cache" | undefined;
	/** Try again what failed before. Default false. */
	again?: boolean;
	/** Threads of ONNX Runtime, which says what is right. Default 1. */
	threads?: number;
	frontend?: Frontend;
	/** One line about what goes on. */
	note?: (line: string) => void;
	onProgress?: (progress: BuildProgress) => void;
	signal?: AbortSignal | undefined;
}

/** Such an engine, and whether it was made now or found. */
export interface PreparedEngine extends JudgedEngine {
	fresh: boolean;
}

/**
 * Brings an engine for a voice: the one in the cache, one that a build station made, or a new one. First a refittable engine of the base,
 * which serves every voice of that base; where that does not hold, one of the voice alone. Whichever it is,
 * it is opened, refitted and run in a child process and held to what ONNX Runtime makes of the same input.
 *
 * INVARIANTS
 * - What is returned survived its trial and lies in the cache with the bytes that were tried.
 * - An engine that failed for a voice is not tried again for it unless asked for; in the place of one that
 *   came from elsewhere this device's own is built, or, where it is to build none, other bytes may come.
 * - Nothing here opens an engine in this process.
 *
 * @throws EngineAbsent; WattvoxError E_ENGINE_DIFFERS, and the workshop's codes; E_FILE_FORMAT (no golden sentences);
 *   E_TENSORRT_OP; E_DISK_FULL, E_OUTPUT; the signal's reason
 */
export async function prepareEngine(
	o: PrepareOptions,
): Promise<PreparedEngine> {
	const { signal } = o;
	const facts = await o.workshop.facts({ signal, memoryBytes: o.memoryBytes });
	if (!o.golden)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			"the bundle has no golden sentences to hold an engine to",
		);
	const golden = parseGolden(await readFile(o.golden));
	const files = await readVoiceFiles(o.dir);
	const model = await decoderModel(files, facts.tensorrt);
	// What failed before is known without speaking again.
	let spoken: Promise<GoldenRun[]> | undefined;
	const runs = () => {
		spoken ??= goldenRuns(files, golden, {
			threads: o.threads ?? 1,
			signal,
			...(o.frontend && { frontend: o.frontend }),
		});
		return spoken;
	};
	const { weights, ports } = model;
	const ways: Way[] = [
		{
			what: "engine of the base, refitted",
			onnx: model.base,
			refit: true,
			...(files.config.adapter && { weights, changed: model.changed }),
		},
		{ what: "engine of the voice", onnx: model.merged, refit: false },
	];
	const given: Given = {
		...{ facts, ports, runs, config: files.config },
		builders: new Set(o.builders),
	};
	let last: WattvoxError | undefined;
	const failed = new Set<Way>();
	const absent: EngineKey[] = [];
	for (const mayBuild of rounds(o))
		for (const way of ways.filter((w) => !failed.has(w)))
			try {
				const made = await attempt(o, way, given, mayBuild);
				if (!("absent" in made)) return made;
				absent.push(made.absent);
				last = made.because ?? last;
			} catch (thrown) {
				last = asWattvoxError(thrown);
				if (signal?.aborted || !OTHER_WAY.includes(last.code)) throw last;
				failed.add(way);
				o.note?.(`${way.what}: ${last.code}: ${last.message}`);
			}
	if (absent.length === 0 || rounds(o).includes(true)) throw last;
	throw new EngineAbsent(
		absent,
		`there is no engine for this voice here yet${last ? ` (${last.code}: ${last.message})` : ""}`,
	);
}

/** What can be had without building comes before what takes minutes of a device's processor. */
function rounds({ from = "anywhere", bring }: PrepareOptions): boolean[] {
	if (from !== "anywhere") return [false];
	return bring ? [false, true] : [true];
}
