import { randomBytes } from "node:crypto";
import type { Clock } from "@wattvox/core";
import { Meter, type PowerSource, SpeechAccount } from "@wattvox/energy";
import type { PowerMessage } from "@wattvox/link";
import { Latest } from "./latest.ts";
import type { FromSpeaker } from "./speaker/messages.ts";

export interface PowerReporterOptions {
	device: string;
	source: PowerSource;
	/** The bundle that speaks. */
	voice: () => string | null;
	publish: (message: PowerMessage) => Promise<void>;
	/** Between two messages without an utterance, ms. */
	everyMs: number;
	clock: Clock;
}

type End = Extract<FromSpeaker, { kind: "end" }>;

/** Readings per second between utterances: a counter needs none in between, a gauge some. */
const METER_HZ = 1;

/**
 * Books what speaking costs and says so after every utterance and at a steady pace.
 *
 * INVARIANTS
 * - Every figure is cumulative since this reporter's boot began, so a message that is lost or doubled
 *   changes no total; while the broker is away only the newest waits.
 * - `sequence` rises by one with every message made.
 */
export class PowerReporter {
	readonly #o: PowerReporterOptions;
	readonly #meter: Meter;
	readonly #account: SpeechAccount;
	readonly #boot = randomBytes(8).toString("hex");
	readonly #outbox: Latest<PowerMessage>;
	readonly #open = new Map<
		number,
		{ resolve: (end: End) => void; reject: (why: Error) => void }
	>();
	#sequence = 0;
	#timer: NodeJS.Timeout | undefined;

	constructor(options: PowerReporterOptions) {
		this.#o = options;
		this.#meter = new Meter(options.source, { hz: METER_HZ });
		this.#account = new SpeechAccount(this.#meter);
		this.#outbox = new Latest(options.publish);
	}

	/** Begins to count. */
	async start(): Promise<void> {
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
		await this.#meter.point();
		void this.#outbox.offer(this.#message());
		await this.#meter.stop();
	}

	/** Makes a message and sends it when there is a way. */
	report(): void {
		void this.#outbox.offer(this.#message());
	}

	/** Hears from the speaker: an utterance begins or ends, or its process was lost. */
	heard(
		event: Extract<FromSpeaker, { kind: "begin" | "end" }> | { kind: "lost" },
	): void {
		if (event.kind === "lost") {
			this.#lost();
			return;
		}
		if (event.kind === "end") {
			const open = this.#open.get(event.id);
			this.#open.delete(event.id);
			// Broken off half-way it still made sound and cost energy.
			if (event.audioSeconds > 0) open?.resolve(event);
			else open?.reject(new Error("no sound was made"));
			return;
		}
		void this.#account
			.utterance(
				() =>
					new Promise<End>((resolve, reject) => {
						this.#open.set(event.id, { resolve, reject });
					}),
			)
			.catch(() => undefined)
			.then(() => this.report());
	}

	#lost(): void {
		for (const { reject } of this.#open.values())
			reject(new Error("the speaker ended"));
		this.#open.clear();
	}

	#message(): PowerMessage {
		const { device, voice, clock } = this.#o;
		return {
			v: 1,
			device,
			boot: this.#boot,
			sequence: this.#sequence++,
			...this.#account.totals(),
			voice: voice(),
			at: new Date(clock.wall()).toISOString(),
		};
	}
}
