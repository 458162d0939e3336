import type { ChildProcess } from "node:child_process";
import {
	backoff,
	type Clock,
	type ErrorCode,
	systemClock,
	WattvoxError,
} from "@wattvox/core";
import type { Reason } from "../planner.ts";
import { Asides } from "./asides.ts";
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
import { type OpenEngine, suspects } from "./suspects.ts";

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
	/** The compiled shim; none by default. */
	tensorrt?: string | null;
	clock?: Clock;
	/** Starts the process; another way only in tests. */
	fork?: (config: SpeakerConfig) => ChildProcess;
}

/** Deaths in a row while loading one voice after which that voice is to blame. */
const DEATHS = 3;
/** A process that lived this long was no quick death, ms. */
const QUICK_MS = 10_000;
/** How long a process may take to end by itself. */
const STOP_MS = 5000;

/**
 * Keeps the speaker process alive.
 *
 * INVARIANTS
 * - There is at most one process; when it ends unasked, another is started.
 * - A voice that kills it while loading is given up after three deaths, and the process started empty.
 * - Engines with which it may have ended are reported before it is started again.
 * - After `stop` there is none.
 */
export class SpeakerProcess {
	readonly #o: SpeakerProcessOptions;
	readonly #clock: Clock;
	readonly #stop = new AbortController();
	#child: ChildProcess | undefined;
	#port = 0;
	#up = false;
	#digest: string | null = null;
	#loading: string | null = null;
	/** What was asked of it so far is numbered; an answer tells which it is about. */
	#asked = 0;
	#answered = 0;
	/** The engine it was last asked to use, and whether that is loaded. */
	#engine: string | null = null;
	#engineLoaded: string | null = null;
	#runtime: Runtime | null = null;
	/** In a row, each within QUICK_MS of its start. */
	#deaths = 0;
	/** In a row, while loading. */
	#loadDeaths = 0;
	#born = 0;
	#refused: WattvoxError | undefined;
	#restarts = 0;
	#failed: NotLoaded | null = null;
	#waiters: (() => void)[] = [];
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
		return this.#digest;
	}

	/** The engine that it speaks by; null: none. */
	get engine(): string | null {
		return this.#engineLoaded;
	}

	/** What computes; null: it has no voice. */
	get runtime(): Runtime | null {
		return this.#runtime;
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
		return this.#restarts;
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
		const ask = ++this.#asked;
		this.#failed = null;
		this.#loading = voice.digest;
		this.#engine = voice.engine?.id ?? null;
		this.#send({ kind: "swap", ask, ...voice });
		await this.#until(
			() => this.#answered >= ask || this.#failed !== null,
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
		this.#loadDeaths = 0;
	}

	/** Lets requests under way end, then ends the process. Idempotent. */
	async stop(): Promise<void> {
		this.#stop.abort(new WattvoxError("E_INTERRUPTED", "the speaker stops"));
		const child = this.#child;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const ended = new Promise<void>((resolve) => child.once("exit", resolve));
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
		const voice = this.#loadDeaths < DEATHS ? this.#o.voice() : null;
		this.#born = this.#clock.monotonic();
		this.#loading = voice?.digest ?? null;
		this.#engine = voice?.engine?.id ?? null;
		// its answer about this voice is also that to a swap with which the one before it ended
		const ask = ++this.#asked;
		if (!voice) this.#answered = ask;
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
		const child = (this.#o.fork ?? forkSpeaker)(config);
		this.#child = child;
		child.on("message", (message: FromSpeaker) => {
			// the last words of one may come after its end was heard: they hold no more
			if (child === this.#child) this.#heard(message);
		});
		child.once("exit", (code, signal) => this.#ended(child, code, signal));
	}

	#heard(message: FromSpeaker): void {
		switch (message.kind) {
			case "listening":
				this.#port = message.port;
				this.#up = true;
				break;
			case "loaded":
				this.#digest = message.digest;
				this.#engineLoaded = message.trouble ? null : message.engine;
				this.#runtime = message.runtime;
				if (this.#answers(message.ask)) {
					// What it could not use is not asked for any more.
					this.#engine = this.#engineLoaded;
					this.#failed = null;
					this.#loadDeaths = 0;
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
				if (!this.#answers(message.ask)) break;
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

	/** Takes an answer; whether it is about what was asked last. */
	#answers(ask: number): boolean {
		this.#answered = ask;
		if (ask !== this.#asked) return false;
		this.#loading = null;
		return true;
	}

	#ended(
		child: ChildProcess,
		code: number | null,
		signal: NodeJS.Signals | null,
	): void {
		if (child !== this.#child) return;
		this.#child = undefined;
		this.#up = false;
		const blamed = this.#suspects();
		this.#digest = null;
		this.#engine = null;
		this.#engineLoaded = null;
		this.#runtime = null;
		this.#open.clear();
		this.#asides.ended(
			String(signal ?? code),
			new Set(blamed.map((b) => b.digest)),
		);
		this.#o.onUtterance({ kind: "lost" });
		if (this.#stop.signal.aborted) {
			this.#changed();
			return;
		}
		this.#restarts++;
		const lived = this.#clock.monotonic() - this.#born;
		this.#deaths = lived < QUICK_MS ? this.#deaths + 1 : 1;
		// The engine is given up first: the voice may be good without it.
		for (const { digest, engine } of blamed)
			this.#o.onEngineTrouble?.(digest, engine, {
				code: "E_ENGINE_CRASH",
				message: `the speaker ended (${signal ?? code}) while it had an engine`,
			});
		if (blamed.length === 0 && this.#loading && ++this.#loadDeaths >= DEATHS)
			this.#failed = {
				digest: this.#loading,
				at: this.#clock.monotonic(),
				code: "E_MODEL",
				message: `the speaker ended (${signal ?? code}) ${this.#loadDeaths} times while loading this voice`,
			};
		this.#changed();
		// At once after a single death: the device is silent until then.
		const wait =
			this.#deaths <= 1 ? 0 : backoff(this.#deaths, 100, 5000, Math.random);
		this.#clock.sleep(wait, this.#stop.signal).then(
			() => this.#spawn(),
			() => undefined,
		);
	}

	/** The engines with which it may have ended. */
	#suspects(): OpenEngine[] {
		const loading = this.#loading;
		const spoke = loading ?? this.#digest;
		const open = [
			{ digest: this.#digest, engine: this.#engineLoaded },
			{ digest: spoke, engine: this.#engine },
			...this.#asides.engines,
		].filter((o): o is OpenEngine => o.digest !== null && o.engine !== null);
		const busy = [loading, this.#asides.state.loading];
		return suspects(
			open,
			new Set(busy.filter((digest) => digest !== null)),
			new Set(this.#open.values()),
		);
	}

	#changed(): void {
		for (const waiter of this.#waiters.splice(0)) waiter();
		this.#o.onChange();
	}

	async #until(met: () => boolean, signal?: AbortSignal): Promise<void> {
		while (!met()) {
			signal?.throwIfAborted();
			this.#stop.signal.throwIfAborted();
			await new Promise<void>((resolve, reject) => {
				const abort = () => reject(signal?.reason);
				signal?.addEventListener("abort", abort, { once: true });
				this.#waiters.push(() => {
					signal?.removeEventListener("abort", abort);
					resolve();
				});
			});
		}
	}
}

function nothingAside(): WattvoxError {
	return new WattvoxError("E_VOICE_UNKNOWN", "there is one voice alone");
}
