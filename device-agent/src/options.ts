import type { PrivateKey, Trust } from "@wattvox/bundle";
import type { Clock, Log } from "@wattvox/core";
import type { PowerSource } from "@wattvox/energy";
import type { LinkOptions } from "@wattvox/link";
import type { GoldenLimits } from "@wattvox/synth";
import type { EngineSettings } from "./engine/engines.ts";
import type { JoulesGateOptions } from "./joules/joules-gate.ts";
import type { JoulesLimits } from "./joules/verdict.ts";
import type { Work } from "./planner.ts";
import type { PlayerChoice } from "./speaker/player.ts";

export interface AgentOptions {
	/** The broker and how to get in; the client id is the device's. */
	broker: Omit<LinkOptions, "clientId" | "presence">;
	fleet: string;
	device: string;
	/** Where it keeps its voices and its state. */
	dataDir: string;
	/** Keys that may sign bundles and desired states. */
	trust: Trust;
	/** Of the speech API; 0 takes a free one. Default 8420. */
	port?: number;
	/** Threads inside one operator. Default 1. */
	threads?: number;
	/** Bytes of bundles that may come in a day (UTC). Default: unlimited. */
	dailyBytes?: number;
	/** Requests that may wait for their turn. Default 16. */
	maxWaiting?: number;
	/** Last good voices kept beside the active one, 1 to 9; each may be asked for. Default 3. */
	goodKept?: number;
	/** Voices in memory at a time, the active one among them. 1: no other. Default 3. */
	maxLoaded?: number;
	/** Memory of those beside the active one, bytes, by estimate. Default 160 MB. */
	asideBytes?: number;
	/** What plays on the device itself (`POST /v1/audio/play`). Default: what is installed. */
	playback?: PlayerChoice;
	/** Of the golden sentences and of joules per second of speech, where they differ from the defaults. */
	limits?: Partial<GoldenLimits> & JoulesLimits;
	/** How joules per second of speech are measured; another way only in tests. */
	joules?: Partial<Pick<JoulesGateOptions, "open" | "meter" | "clock">>;
	/** Speak by TensorRT where that holds. Default: ONNX Runtime alone. */
	engine?: EngineSettings | undefined;
	/**
	 * Makes this device the build station of its class: it signs the engines that it builds with this key, a
	 * builder's, and brings them to the store for its siblings. Needs `engine`.
	 */
	builder?: PrivateKey;
	/** What kind of device it is. Default: by what its board or its processor says of itself. */
	deviceClass?: string;
	/** Folder that stands for `/` when sensors are looked for: in a container, the host's. */
	hostRoot?: string;
	/** Default: the best that works here. The agent closes what it opened itself. */
	power?: PowerSource;
	/** Between two power messages without an utterance, and two looks at the board, ms. Default 60 000. */
	powerEveryMs?: number;
	/** Ceiling of the first and of any wait after a failed step, ms. Default 1000 and 300 000. */
	retryMs?: { base: number; max: number };
	/** Longest a kind of step may take, ms, where it differs from `DEADLINES`. */
	deadlines?: Partial<Record<Work, number>>;
	log?: Log;
	clock?: Clock;
}
