// Messages between the agent and its speaker process. Both ends are ours: nothing is parsed.
import type { ErrorCode } from "@wattvox/core";
import type { Ports } from "@wattvox/runtime/tensorrt";
import type { PlayerChoice } from "./player.ts";
import type { VoiceMemory } from "./voice-memory.ts";

/** How a speaker process is started; its only argument, as JSON. */
export interface SpeakerConfig {
	/** The compiled shim, where the device speaks by TensorRT. */
	tensorrt: string | null;
	/** 0 takes a free port. */
	port: number;
	threads: number;
	/** Requests that may wait for their turn. */
	maxWaiting: number;
	/** What plays on the device itself. */
	playback: PlayerChoice;
	/** What to load first. */
	voice: VoiceAt | null;
	/** What its answer about that voice is numbered. */
	ask: number;
	/** What may be asked for beside it. */
	offers: readonly OfferedVoice[];
	/** How many voices beside the active one may be loaded, and how much memory they may take by estimate. */
	aside: { places: number; bytes: number };
}

/** A voice that a request may ask for: it passed its golden sentences here. */
export interface OfferedVoice {
	/** Its name. */
	id: string;
	digest: string;
	/** BCP 47 tag. */
	language: string;
	/** Name of its base. */
	base: string;
}

/** A voice that was verified again to be loaded beside the active one. */
export interface VerifiedVoice extends VoiceAt {
	/** Memory that it will take, by what it comes to speak by. */
	memory: VoiceMemory;
}

/** A voice that is loaded beside the active one. */
export interface LoadedAside {
	digest: string;
	/** Memory that it takes: an estimate. */
	bytes: number;
	/** The engine that it speaks by; null: ONNX Runtime. */
	engine: string | null;
}

/** What is loaded beside the active voice. */
export interface AsideState {
	loaded: readonly LoadedAside[];
	/** Under way. */
	loading: string | null;
}

/** A laid-out bundle, and the engine that survived its trial with this very voice. */
export interface VoiceAt {
	digest: string;
	dir: string;
	engine?: EngineAt;
}

/**
 * An engine on disk, or a copy of one that was refitted for the voice. Whoever opens it holds the file to
 * its digest first.
 */
export interface EngineAt {
	/** Its name in the cache; a refitted copy has that of its engine. */
	id: string;
	path: string;
	sha256: string;
	/** Of the file, bytes. */
	size: number;
	ports: Ports;
}

/** What computes the decoder. */
export type Runtime = "onnxruntime" | "tensorrt";

/** @param engine by which a loaded voice speaks; null: none */
export const runtimeOf = (engine: string | null): Runtime =>
	engine === null ? "onnxruntime" : "tensorrt";

export type ToSpeaker =
	/** `ask` rises; the answer carries it, since that to an earlier one may still be under way. */
	| ({ kind: "swap"; ask: number } & VoiceAt)
	/** What may be asked for from now on; the active one may be among them. */
	| { kind: "offers"; offers: readonly OfferedVoice[] }
	/** The answer to `want`. */
	| { kind: "verified"; voice: VerifiedVoice }
	| { kind: "refused"; digest: string; code: ErrorCode; message: string }
	/** End when the requests under way are done. */
	| { kind: "stop" };

export type FromSpeaker =
	/** It listens; requests are refused until a voice is loaded. */
	| { kind: "listening"; port: number }
	/** The port is taken. */
	| { kind: "no-port"; message: string }
	/**
	 * From the next utterance on it speaks with this. `engine`: the one it was asked to use; where it could
	 * not, `trouble` says why, and `runtime` what it speaks with instead.
	 */
	| {
			kind: "loaded";
			ask: number;
			digest: string;
			engine: string | null;
			runtime: Runtime;
			trouble?: { code: ErrorCode; message: string };
	  }
	/** It speaks on with what it had. */
	| {
			kind: "not-loaded";
			ask: number;
			digest: string;
			code: ErrorCode;
			message: string;
	  }
	/** A voice that is to be loaded beside the active one, once the agent has verified it. */
	| { kind: "want"; digest: string }
	| ({ kind: "aside" } & AsideState)
	/** A voice beside the active one was loaded without the engine that it was to use. */
	| {
			kind: "engine-trouble";
			digest: string;
			engine: string;
			code: ErrorCode;
			message: string;
	  }
	/** `digest`: the voice that speaks it, from its beginning to its end. */
	| { kind: "begin"; id: number; digest: string }
	| {
			kind: "end";
			id: number;
			/** False: broken off, by the listener or by an error. */
			whole: boolean;
			audioSeconds: number;
			computeMs: number;
			firstSoundMs: number | null;
	  };
