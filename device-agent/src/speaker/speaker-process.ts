import type { ChildProcess } from "node:child_process";
import {
	asWattvoxError,
	type Clock,
	type ErrorCode,
	systemClock,
	WattvoxError,
} from "@wattvox/core";
import type { Reason } from "../planner.ts";
import { Asides } from "./asides.ts";
import { Assignment } from "./assignment.ts";
import { Changes } from "./changes.ts";
import { Deaths } from "./deaths.ts";
import { forkSpeaker } from "./fork-speaker.ts";
import type {
	AsideState,
	FromSpeaker,
	OfferedVoice,
	Runtime,
	SpeakerConfig,
	ToSpeaker,
	VerifiedVoice,
	VoiceAt,
} from "./messages.ts";
import type { PlayerChoice } from "./player.ts";

/** A voice that a speaker could not load, why, and when: monotonic, ms. */
export interface NotLoaded {
	digest: string;
	code: ErrorCode;
	message: string;
	at: number;
}

export interface SpeakerProcessOptions {
	/** 0 takes a free port, which is then kept across restarts. */
	port: number;
	threads: number;
	maxWaiting: number;
	/** What plays on the device itself. Default: what is installed. */
	playback?: PlayerChoice;
	/** What a new process is to load. */
	voice: () => VoiceAt | null;
	/** What requests may ask for beside it; none by default. */
	offers?: () => readonly OfferedVoice[];
	/** How much of that may be loaded; nothing by default. */
	aside?: SpeakerConfig["aside"];
	/** Verifies one of them before it is loaded. @throws WattvoxError */
	verify?: (digest: string) => Promise<VerifiedVoice>;
	/** One of them ended the process again and again. */
	onAsideTrouble?: (digest: string, reason: Reason) => void;
	/** Something changed: up, down, loaded, not loaded. */
	onChange: () => void;
	onUtterance: (
		event: Extract<FromSpeaker, { kind: "begin" | "end" }> | { kind: "lost" },
	) => void;
	/** It ended, or would not, with an engine: that engine is not to be used again. */
	onEngineTrouble?: (digest: string, engine: string, reason: Reason) => void;
	/** It ended unasked, or could not be started, and why; another is started. */
	onEnd?: (how: string) => void;
	/** The compiled shim; none by default. */
	tensorrt?: string | null;
	clock?: Clock;
	/** Starts the process; another way only in tests. */
	fork?: (config: SpeakerConfig) => ChildProcess;
}

/** How long a process may take to end by itself. */
const STOP_MS = 5000;

/**
 * Keeps the speaker process alive.
 *
 * INVARIANTS
 * - There is at most one process; when it ends unasked, another is started.
 * - A voice that kills it while loading is given up after three deaths, and the process started empty.
 * - Engines with which it may have ended are reported before it is started again.
 * - A process that the system did not start says nothing of voice or engine.
 * - After `stop` there is none.
 */
export class SpeakerProcess {
	readonly #o: SpeakerProcessOptions;
	readonly #clock: Clock;
	readonly #stop = new AbortController();
	#child: ChildProcess | undefined;
	#port = 0;
	#up = false;
	readonly #has = new Assignment();
	readonly #deaths = new Deaths();
	readonly #changes = new Changes();
	#refused: WattvoxError | undefined;
	#failed: NotLoaded | null = null;
	/** Utterances under way, and the voice that speaks each. */
	readonly #open = new Map<number, string>();
	readonly #asides: Asides;

	constructor(options: SpeakerProcessOptions) {
		this.#o = options;
		this.#asides = new Asides({
			verify: options.verify ?? (() => Promise.reject(nothingAside())),
			onTrouble: options.onAsideTrouble ?? (() => undefined),
			send: (message) => this.#send(message),
		});
		this.#clock = options.clock ?? systemClock;
	}

	/** It listens. */
	get up(): boolean {
		return this.#up;
	}

	/** 0 before it listened for the first time. */
	get port(): number {
		return this.#port;
	}

	get pid(): number | undefined {
		return this.#child?.pid;
	}

	/** What it speaks with; null: nothing. */
	get digest(): string | null {
		return this.#has.digest;
	}

	/** The engine that it speaks by; null: none. */
	get engine(): string | null {
		return this.#has.engine;
	}

	/** What computes; null: it has no voice. */
	get runtime(): Runtime | null {
		return this.#has.runtime;
	}

	/** What is loaded beside the voice that it speaks with. */
	get aside(): AsideState {
		return this.#asides.state;
	}

	/** What it could not load last. */
	get failed(): NotLoaded | null {
		return this.#failed;
	}

	/** An utterance is being made. */
	get speaking(): boolean {
		return this.#open.size > 0;
	}

	/** How often it ended unasked. */
	get restarts(): number {
		return this.#deaths.all;
	}

	/**
	 * Starts the process and waits until it listens.
	 * @throws WattvoxError E_BUSY when the port is taken; the signal's reason
	 */
	async start(signal?: AbortSignal): Promise<void> {
		this.#spawn();
		await this.#until(() => this.#up || this.#refused !== undefined, signal);
		if (this.#refused) throw this.#refused;
	}

	/**
	 * Changes the voice; utterances under way keep theirs. Settles too when another swap took its place.
	 * @throws WattvoxError E_MODEL and others when it does not load; the signal's reason
	 */
	async swap(voice: VoiceAt, signal?: AbortSignal): Promise<void> {
		const ask = this.#has.ask(voice);
		this.#failed = null;
		this.#send({ kind: "swap", ask, ...voice });
		await this.#until(
			() => this.#has.isAnswered(ask) || this.#failed !== null,
			signal,
		);
		const failed = this.#failed as typeof this.failed;
		if (failed) throw new WattvoxError(failed.code, failed.message);
	}

	/** Tells it what requests may ask for now. */
	offer(): void {
		this.#send({ kind: "offers", offers: this.#o.offers?.() ?? [] });
	}

	/** Forgets what it could not load, so that it may be asked to try again. */
	forgive(): void {
		this.#failed = null;
		this.#deaths.forgive();
	}

	/** Lets requests under way end, then ends the process. Idempotent. */
	async stop(): Promise<void> {
		this.#stop.abort(new WattvoxError("E_INTERRUPTED", "the speaker stops"));
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const ended = new Promise<void>((resolve) => {
			child.once("exit", resolve);
			// one that did not start never exits
			child.once("close", resolve);
		});
		this.#send({ kind: "stop" });
		const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
		await ended;
		clearTimeout(timer);
	}

	#send(message: ToSpeaker): void {
		// A process that is about to end takes no messages; its end is heard elsewhere.
		if (this.#child?.connected) this.#child.send(message, () => undefined);
	}

	#spawn(): void {
		const voice = this.#deaths.blamed ? null : this.#o.voice();
		this.#deaths.born(this.#clock.monotonic());
		// its answer about this voice is also that to a swap with which the one before it ended
		const ask = this.#has.ask(voice);
		const { threads, maxWaiting, tensorrt = null, playback = {} } = this.#o;
		const config: SpeakerConfig = {
			port: this.#port || this.#o.port,
			threads,
			maxWaiting,
			playback,
			tensorrt,
			voice,
			ask,
			offers: this.#o.offers?.() ?? [],
			aside: this.#o.aside ?? { places: 0, bytes: 0 },
		};
		let child: ChildProcess;
		try {
			child = (this.#o.fork ?? forkSpeaker)(config);
		} catch (thrown) {
			// the system has no memory for it, or no files: perhaps it will have
			this.#startAgain(asWattvoxError(thrown).message);
			return;
		}
		this.#child = child;
		child.on("message", (message: FromSpeaker) => {
			// the last words of one may come after its end was heard: they hold no more
			if (child === this.#child) this.#heard(message);
		});
		child.once("exit", (code, signal) =>
			this.#ended(child, String(signal ?? code)),
		);
		child.on("error", ({ message }) => {
			if (child.pid !== undefined || child !== this.#child) return;
			this.#child = undefined;
			this.#startAgain(message);
		});
	}

	#heard(message: FromSpeaker): void {
		switch (message.kind) {
			case "listening":
				this.#port = message.port;
				this.#up = true;
				break;
			case "loaded":
				if (this.#has.loaded(message)) {
					this.#failed = null;
					this.#deaths.forgive();
				}
				if (message.engine && message.trouble)
					this.#o.onEngineTrouble?.(
						message.digest,
						message.engine,
						message.trouble,
					);
				break;
			case "no-port":
				this.#refused = new WattvoxError("E_BUSY", message.message);
				break;
			case "not-loaded": {
				if (!this.#has.answered(message.ask)) break;
				const { digest, code, message: why } = message;
				const at = this.#clock.monotonic();
				this.#failed = { digest, code, message: why, at };
				break;
			}
			case "engine-trouble": {
				const { digest, engine, code, message: why } = message;
				this.#o.onEngineTrouble?.(digest, engine, { code, message: why });
				break;
			}
			case "want":
			case "aside":
				this.#asides.heard(message);
				break;
			default:
				if (message.kind === "begin")
					this.#open.set(message.id, message.digest);
				else this.#open.delete(message.id);
				this.#o.onUtterance(message);
				return;
		}
		this.#changed();
	}

	#ended(child: ChildProcess, how: string): void {
		if (child !== this.#child) return;
		this.#child = undefined;
		this.#up = false;
		const speaking = new Set(this.#open.values());
		const blamed = this.#has.suspects(this.#asides, speaking);
		this.#has.ended();
		this.#open.clear();
		this.#asides.ended(how, new Set(blamed.map((b) => b.digest)));
		this.#o.onUtterance({ kind: "lost" });
		if (this.#stop.signal.aborted) {
			this.#changed();
			return;
		}
		// The engine is given up first: the voice may be good without it.
		for (const { digest, engine } of blamed)
			this.#o.onEngineTrouble?.(digest, engine, {
				code: "E_ENGINE_CRASH",
				message: `the speaker ended (${how}) while it had an engine`,
			});
		const { loading } = this.#has;
		if (blamed.length === 0 && loading) {
			const times = this.#deaths.whileLoading();
			if (this.#deaths.blamed)
				this.#failed = {
					digest: loading,
					at: this.#clock.monotonic(),
					code: "E_MODEL",
					message: `the speaker ended (${how}) ${times} times while loading this voice`,
				};
		}
		this.#startAgain(how);
	}

	#startAgain(how: string): void {
		this.#o.onEnd?.(how);
		const wait = this.#deaths.died(this.#clock.monotonic());
		this.#changed();
		this.#clock.sleep(wait, this.#stop.signal).then(
			() => {
				if (!this.#stop.signal.aborted) this.#spawn();
			},
			() => undefined,
		);
	}

	#changed(): void {
		this.#changes.happened();
		this.#o.onChange();
	}

	#until(met: () => boolean, signal?: AbortSignal): Promise<void> {
		const stop = this.#stop.signal;
		const either = signal ? AbortSignal.any([signal, stop]) : stop;
		return this.#changes.until(met, either);
	}
}

function nothingAside(): WattvoxError {
	return new WattvoxError("E_VOICE_UNKNOWN", "there is one voice alone");
}
