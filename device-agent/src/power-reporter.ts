import { randomBytes } from "node:crypto";
import type { Clock } from "@wattvox/core";
import { Meter, type PowerSource, SpeechAccount } from "@wattvox/energy";
import type { PowerMessage } from "@wattvox/link";
import { Latest } from "./latest.ts";
import type { PowerBuffer } from "./power-buffer.ts";
import type { FromSpeaker } from "./speaker/messages.ts";

export interface PowerReporterOptions {
	device: string;
	source: PowerSource;
	/** The bundle that speaks. */
	voice: () => string | null;
	/** Resolves when the broker has it. */
	publish: (message: PowerMessage) => Promise<void>;
	/** Whether a message would go out now. */
	online: () => boolean;
	/** Where messages wait for a broker, across restarts. */
	buffer: PowerBuffer;
	/** Between two messages without an utterance, ms. */
	everyMs: number;
	clock: Clock;
}

type End = Extract<FromSpeaker, { kind: "end" }>;

/** Between two writes to disk while the broker is away, ms: what a power cut then costs at most. */
const KEEP_MS = 10_000;

/** Readings per second between utterances: a counter needs none in between, a gauge some. */
const METER_HZ = 1;

/**
 * Books what speaking costs and says so after every utterance and at a steady pace.
 *
 * INVARIANTS
 * - Every figure is cumulative since this reporter's boot began, so a message that is lost or doubled
 *   changes no total; while the broker is away only the newest waits, on disk.
 * - `sequence` rises by one with every message made.
 */
export class PowerReporter {
	readonly #o: PowerReporterOptions;
	readonly #meter: Meter;
	readonly #account: SpeechAccount;
	readonly #boot = randomBytes(8).toString("hex");
	readonly #outbox: Latest<PowerMessage>;
	readonly #disk: Latest<PowerMessage>;
	readonly #open = new Map<
		number,
		{ resolve: (end: End) => void; reject: (why: Error) => void }
	>();
	#sequence = 0;
	#keepAt = Number.NEGATIVE_INFINITY;
	#timer: NodeJS.Timeout | undefined;

	constructor(options: PowerReporterOptions) {
		this.#o = options;
		this.#meter = new Meter(options.source, { hz: METER_HZ });
		this.#account = new SpeechAccount(this.#meter);
		this.#outbox = new Latest((message) => this.#send(message));
		this.#disk = new Latest((message) => options.buffer.keep(message));
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
		const last = this.#message();
		// kept first: whether the goodbye is heard is known too late
		await this.#disk.offer(last);
		void this.#outbox.offer(last);
		await this.#meter.stop();
	}

	/** Sends what earlier boots left, now that there is a broker. */
	async catchUp(): Promise<void> {
		for (const message of await this.#o.buffer.waiting())
			if (message.boot !== this.#boot) await this.#send(message);
	}

	/** Makes a message and sends it when there is a way. */
	report(): void {
		const message = this.#message();
		const now = this.#o.clock.monotonic();
		if (!this.#o.online() && now >= this.#keepAt) {
			this.#keepAt = now + KEEP_MS;
			void this.#disk.offer(message);
		}
		void this.#outbox.offer(message);
	}

	async #send(message: PowerMessage): Promise<void> {
		await this.#o.publish(message);
		await this.#o.buffer.sent(message);
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
