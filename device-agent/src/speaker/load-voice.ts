import { readFile } from "node:fs/promises";
import { sha256 } from "@wattvox/bundle";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { EngineHost } from "@wattvox/runtime";
import type { TensorRt, TrtEngine } from "@wattvox/runtime/tensorrt";
import { type Frontend, Voice } from "@wattvox/synth";
import type { Reason } from "../planner.ts";
import type { EngineAt, Runtime, VoiceAt } from "./messages.ts";

export interface LoadVoiceOptions {
	threads: number;
	/** The compiled shim; null: this device has none. */
	tensorrt: string | null;
	/** Opens TensorRT in this process; another one only in tests. */
	open?: (shim: string) => Promise<TensorRt>;
	frontend?: Frontend;
	/** The thread of a voice that was loaded died, and the voice with it. */
	onDeath?: (why: Reason) => void;
	/** What that thread runs; another one only in tests. */
	script?: URL;
}

export interface LoadedVoice {
	voice: Voice;
	runtime: Runtime;
	/** Why it does not speak by the engine that it was given. */
	trouble?: Reason;
}

/**
 * Loads a voice, by its engine where it has one. Whatever goes wrong with the engine, the voice speaks on
 * ONNX Runtime instead, and it is said why.
 *
 * INVARIANTS
 * - Only the very bytes that a trial has survived are opened, and nothing is done to an engine here but to
 *   open and run it: it was built, and refitted for the voice, in other processes.
 * - The voice that speaks meanwhile keeps its own engine.
 *
 * @throws as {@link Voice.load} when the voice does not load on ONNX Runtime either
 */
export async function loadVoice(
	{ dir, engine }: VoiceAt,
	options: LoadVoiceOptions,
): Promise<LoadedVoice> {
	const { threads, frontend, script, onDeath } = options;
	let loaded = false;
	// while it loads, that is an error of the loading
	const died = ({ code, message }: Reason) => {
		if (loaded) onDeath?.({ code, message });
	};
	const how = {
		threads,
		// a thread of its own: what speaks meanwhile does not wait for this one's loading
		host: new EngineHost(script, died),
		...(frontend && { frontend }),
	};
	const load = async (decoder?: TrtEngine) => {
		const voice = await Voice.load(dir, {
			...how,
			...(decoder && { decoder }),
		});
		loaded = true;
		return voice;
	};
	if (!engine) return { voice: await load(), runtime: "onnxruntime" };
	try {
		const decoder = await openEngine(engine, options);
		return { voice: await load(decoder), runtime: "tensorrt" };
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		return {
			voice: await load(),
			runtime: "onnxruntime",
			trouble: { code, message },
		};
	}
}

async function openEngine(
	at: EngineAt,
	{ tensorrt, open = openShim }: LoadVoiceOptions,
): Promise<TrtEngine> {
	if (tensorrt === null)
		throw new WattvoxError("E_TENSORRT", "no shim was given");
	const plan = await held(at.path, at.sha256);
	const runtime = await open(tensorrt);
	return (
		runtime
			.deserialize(plan, { ports: at.ports })
			// An open engine keeps what it needs of the runtime.
			.finally(() => runtime.close())
	);
}

async function openShim(shim: string): Promise<TensorRt> {
	// A process without engines needs nothing of it.
	const { openTensorRt } = await import("@wattvox/runtime/tensorrt");
	return openTensorRt(shim);
}

/** A file's bytes, if they are those that were tried. */
async function held(path: string, digest: string): Promise<Uint8Array> {
	const bytes = await readFile(path);
	if (sha256(bytes) === digest) return bytes;
	throw new WattvoxError(
		"E_TAMPERED",
		`${path} is not what was tried on this device`,
	);
}
