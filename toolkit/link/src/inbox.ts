/** A message that was read and is not acknowledged yet. */
interface Waiting {
	/** The QoS 1 message's number; undefined: it came with QoS 0. */
	readonly id: number | undefined;
	/** How it ended; undefined: handlers are at it. */
	settled?: "done" | "failed";
}

/**
 * The messages of one connection whose handlers are still at it.
 *
 * INVARIANTS
 * - A QoS 1 message is acknowledged after its handlers are done with it, and never when one of them
 *   failed: then the broker still has it, and a persistent session gets it again.
 * - Acknowledgements leave in the order of the messages (MQTT 3.1.1, 4.6).
 * - At most `limit` messages wait; then nothing more is read.
 */
export class Inbox {
	readonly #limit: number;
	readonly #send: (acknowledgements: Buffer) => void;
	readonly #waiting = new Set<Waiting>();
	#soon: NodeJS.Immediate | undefined;
	#room: (() => void) | undefined;

	/** @param send writes PUBACK packets to the connection that the messages came by */
	constructor(limit: number, send: (acknowledgements: Buffer) => void) {
		this.#limit = limit;
		this.#send = send;
	}

	/** Nothing waits: the next message may be acknowledged at once. */
	get empty(): boolean {
		return this.#waiting.size === 0;
	}

	/**
	 * Takes a message in.
	 * @param id its number, with QoS 1
	 * @param handlers what its handlers gave
	 * @param next called when another message may be read
	 */
	take(
		id: number | undefined,
		handlers: readonly Promise<unknown>[],
		next: () => void,
	): void {
		const message: Waiting = { id };
		this.#waiting.add(message);
		const end = (how: "done" | "failed") => {
			message.settled = how;
			// those that settle together leave together
			this.#soon ??= setImmediate(() => this.flush());
		};
		if (handlers.length === 0) end("done");
		else
			Promise.all(handlers).then(
				() => end("done"),
				() => end("failed"),
			);
		if (this.#waiting.size < this.#limit) next();
		else this.#room = next;
	}

	/** Acknowledges what is done with. */
	flush(): void {
		clearImmediate(this.#soon);
		this.#soon = undefined;
		const done: number[] = [];
		for (const message of this.#waiting) {
			if (message.settled === undefined) break;
			this.#waiting.delete(message);
			if (message.settled === "done" && message.id !== undefined)
				done.push(message.id);
		}
		if (done.length > 0) this.#send(pubacks(done));
		if (this.#waiting.size >= this.#limit) return;
		const room = this.#room;
		this.#room = undefined;
		room?.();
	}
}

/** PUBACK packets: type 4, two bytes to follow, the message's number (MQTT 3.1.1, 3.4). */
function pubacks(ids: readonly number[]): Buffer {
	const bytes = Buffer.alloc(4 * ids.length);
	for (const [i, id] of ids.entries()) {
		bytes.writeUInt16BE(0x4002, 4 * i);
		bytes.writeUInt16BE(id, 4 * i + 2);
	}
	return bytes;
}
