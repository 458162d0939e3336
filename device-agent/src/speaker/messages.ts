// Messages between the agent and its speaker process. Both ends are ours: nothing is parsed.
import type { ErrorCode } from "@wattvox/core";

/** How a speaker process is started; its only argument, as JSON. */
export interface SpeakerConfig {
	/** 0 takes a free port. */
	port: number;
	threads: number;
	/** Requests that may wait for their turn. */
	maxWaiting: number;
	/** What to load first. */
	voice: VoiceAt | null;
}

/** A laid-out bundle. */
export interface VoiceAt {
	digest: string;
	dir: string;
}

export type ToSpeaker =
	| ({ kind: "swap" } & VoiceAt)
	/** End when the requests under way are done. */
	| { kind: "stop" };

export type FromSpeaker =
	/** It listens; requests are refused until a voice is loaded. */
	| { kind: "listening"; port: number }
	/** The port is taken. */
	| { kind: "no-port"; message: string }
	/** From the next utterance on it speaks with this. */
	| { kind: "loaded"; digest: string }
	/** It speaks on with what it had. */
	| { kind: "not-loaded"; digest: string; code: ErrorCode; message: string }
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
