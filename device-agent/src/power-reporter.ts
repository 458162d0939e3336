import { randomBytes } from "node:crypto";
import type { Clock } from "@wattvox/core";
import {
	Meter,
	type PowerSource,
	SpeechAccount,
	type SpeechTotals,
} from "@wattvox/energy";
import type { PowerMessage } from "@wattvox/link";
import type { Outbox } from "./backlog/outbox.ts";
import type { FromSpeaker } from "./speaker/messages.ts";

export interface PowerReporterOptions {
	device: string;
	/** What kind of device it is. */
	deviceClass: string;
	source: PowerSource;
	/** The bundle that the next utterance would be spoken with. */
	voice: () => string | null;
	/** Where readings and utterances wait for a broker, across restarts. */
	outbox: Pick<Outbox, "power" | "utterance">;
	/** Between two messages without an utterance, ms. */
	everyMs: number;
	clock: Clock;
}

/** Readings per second between utterances: a counter needs none in between, a gauge some. */
const METER_HZ = 1;

type Ended = Extract<FromSpeaker, { kind: "end" }>;

/** One run of the counters that are reported: of one voice. */
interface Boot {
	id: string;
	voice: string | null;
	/** Of its next message. */
	sequence: number;
	/** Of its next utterance. */
	n: number;
	/** What is reported is what the account has beyond this. */
	base: SpeechTotals | undefined;
}

/**
 * Boots of voices that do not speak now and may again, at most. Where more voices take turns, one that
 * comes back begins another boot.
 */
const RESTING = 16;

/**
 * Books what speaking costs and says so after every utterance and at a steady pace.
 *
 * INVARIANTS
 * - Every figure is cumulative since its boot began, so a message that is lost or doubled changes no
 *   total. Each utterance is told by itself too, in the boot in whose totals it is.
 * - `sequence` rises by one with every message made of a boot.
 * - Another voice is another boot. It begins between two utterances, at the very counts with which the
 *   one before ends: each joule and each second is one voice's, and none is nobody's. A voice that speaks
 *   again goes on with the boot that it had, so that voices which take turns make no more boots than voices.
 * - A boot's last word before another voice's is on disk before it is sent.
 */
export class PowerReporter {
	readonly #o: PowerReporterOptions;
	readonly #meter: Meter;
	readonly #account: SpeechAccount;
	/** Utterances under way: when they began. */
	readonly #open = new Map<number, number>();
	readonly #goodbyes = new Set<Promise<void>>();
	#boot: Boot;
	/** Those that do not count now, by voice, with what each had counted; the longest silent first. */
	readonly #resting = new Map<
		string | null,
		{ boot: Boot; had: SpeechTotals }
	>();
	/** The voice of the boot that is, or is about to begin. */
	#voice: string | null;
	#timer: NodeJS.Timeout | undefined;

	constructor(options: PowerReporterOptions) {
		this.#o = options;
		this.#meter = new Meter(options.source, { hz: METER_HZ });
		this.#account = new SpeechAccount(this.#meter);
		this.#voice = null;
		this.#boot = newBoot(null);
	}

	/** Whether a sensor gives the joules. */
	get measured(): boolean {
		return this.#meter.describe().measured;
	}

	/** Begins to count. */
	async start(): Promise<void> {
		this.#voice = this.#o.voice();
		this.#boot = newBoot(this.#voice);
		await this.#meter.start();
		await this.#account.start();
		this.#timer = setInterval(() => this.report(), this.#o.everyMs);
		this.#timer.unref();
	}

	/** Says the last word and stops. Idempotent. */
	async stop(): Promise<void> {
		if (!this.#timer) return;
		clearInterval(this.#timer);
		this.#timer = undefined;
		this.#lost();
		await this.#account.settle((totals) => this.#goodbye(totals));
		// kept first: whether the goodbye is heard is known too late
		await Promise.all(this.#goodbyes);
		await this.#meter.stop();
	}

	/** Looks whether another voice speaks from now on. */
	voiceMayHaveChanged(): void {
		// an utterance keeps its voice to its end
		if (this.#timer && this.#open.size === 0) this.#speakAs(this.#o.voice());
	}

	/** Makes a message; it goes out when there is a way. */
	report(): void {
		this.voiceMayHaveChanged();
		void this.#o.outbox.power(this.#message(this.#account.totals()));
	}

	/** Hears from the speaker: an utterance begins or ends, or its process was lost. */
	heard(
		event: Extract<FromSpeaker, { kind: "begin" }> | Ended | { kind: "lost" },
	): void {
		const now = this.#o.clock.monotonic();
		if (event.kind === "lost") {
			this.#lost();
			return;
		}
		if (event.kind === "begin") {
			this.#speakAs(event.digest);
			this.#open.set(event.id, now);
			void this.#account.begin();
			return;
		}
		const began = this.#open.get(event.id);
		if (began === undefined) return;
		this.#open.delete(event.id);
		const { audioSeconds } = event;
		const computeSeconds = (now - began) / 1000;
		// Broken off half-way it still made sound and cost energy.
		const spoken =
			audioSeconds > 0 ? { audioSeconds, computeSeconds } : undefined;
		void this.#account.end(spoken).then((millijoules) => {
			if (spoken) this.#utterance(event, computeSeconds, millijoules);
			this.report();
		});
	}

	#utterance(
		{ audioSeconds, whole, firstSoundMs }: Ended,
		computeSeconds: number,
		millijoules: number | null,
	): void {
		const { measured, sensor } = this.#meter.describe();
		void this.#o.outbox.utterance({
			...{ boot: this.#boot.id, n: this.#boot.n++, voice: this.#boot.voice },
			at: new Date(this.#o.clock.wall()).toISOString(),
			...{ whole, audioSeconds, computeSeconds, firstSoundMs, millijoules },
			...{ measured, sensor },
		});
	}

	/** Utterances whose end nobody will hear of cost energy and made no sound. */
	#lost(): void {
		for (const id of this.#open.keys()) {
			this.#open.delete(id);
			void this.#account.end();
		}
	}

	/** Ends the boot and begins another, where the voice is another. */
	#speakAs(voice: string | null): void {
		if (voice === this.#voice) return;
		this.#voice = voice;
		void this.#account.settle((totals) => {
			this.#goodbye(totals);
			this.#rest(totals);
			this.#boot = this.#resumed(voice, totals) ?? newBoot(voice, totals);
			this.report();
		});
	}

	#rest(totals: SpeechTotals): void {
		const boot = this.#boot;
		const had = boot.base ? less(totals, boot.base) : totals;
		this.#resting.set(boot.voice, { boot, had });
		for (const [voice] of [...this.#resting].slice(0, -RESTING))
			this.#resting.delete(voice);
	}

	/** The boot that a voice had, as if nothing had been counted since. */
	#resumed(voice: string | null, totals: SpeechTotals): Boot | undefined {
		const rested = this.#resting.get(voice);
		this.#resting.delete(voice);
		if (!rested) return undefined;
		rested.boot.base = less(totals, rested.had);
		return rested.boot;
	}

	/** A boot's last word: unlike those before it, nothing that comes later says it again. */
	#goodbye(totals: SpeechTotals): void {
		const message = this.#message(totals);
		const kept = this.#o.outbox
			.power(message, true)
			.finally(() => this.#goodbyes.delete(kept));
		this.#goodbyes.add(kept);
	}

	#message(totals: SpeechTotals): PowerMessage {
		const { device, deviceClass, clock } = this.#o;
		const { id, voice, base } = this.#boot;
		return {
			v: 1,
			device,
			boot: id,
			sequence: this.#boot.sequence++,
			...(base ? less(totals, base) : totals),
			...{ voice, deviceClass },
			at: new Date(clock.wall()).toISOString(),
		};
	}
}

function newBoot(voice: string | null, base?: SpeechTotals): Boot {
	return { id: randomBytes(8).toString("hex"), voice, sequence: 0, n: 0, base };
}

/** What came between two totals; whole millijoules, so that parts add up to the whole. */
function less(totals: SpeechTotals, base: SpeechTotals): SpeechTotals {
	const since = (now: number | null, then: number | null) =>
		now === null ? null : now - (then ?? 0);
	return {
		...totals,
		utterances: totals.utterances - base.utterances,
		audioSeconds: totals.audioSeconds - base.audioSeconds,
		computeSeconds: totals.computeSeconds - base.computeSeconds,
		millijoules: since(totals.millijoules, base.millijoules),
		speechMillijoules: since(totals.speechMillijoules, base.speechMillijoules),
	};
}
