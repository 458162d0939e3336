import type { MqttClient } from "mqtt";
import { Inbox } from "./inbox.ts";
import type { Handler } from "./link-options.ts";
import { matches } from "./topics.ts";

/** What mqtt.js is told about a message that is acknowledged later, or never. */
const LATER = new Error("acknowledged by its handlers");

export interface IncomingOptions {
	/** Received messages whose handlers may be at it at a time. */
	limit: number;
	/** Every filter and its handlers. */
	handlers: () => Iterable<readonly [filter: string, handlers: Handler[]]>;
	onMessage: () => void;
	/** A handler threw. */
	onError: () => void;
}

/** What a client receives, on the way to its handlers; see {@link Inbox} for what is acknowledged when. */
export class Incoming {
	readonly #o: IncomingOptions;
	/** What the handlers of the message under way gave. */
	readonly #held: Promise<unknown>[] = [];
	/** Of the connection there is: another's acknowledgements would mean other messages. */
	#inbox: { of: unknown; messages: Inbox } | undefined;

	constructor(options: IncomingOptions) {
		this.#o = options;
	}

	/** Listens to a client. */
	attach(client: MqttClient): void {
		client.on("message", (name, payload, packet) => {
			this.#o.onMessage();
			this.#dispatch(name, payload, packet.retain);
		});
		// called after each message's handlers, and before the next is read
		client.handleMessage = (packet, done) => {
			const held = this.#held.splice(0);
			const inbox = this.#inboxOf(client);
			if (packet.cmd !== "publish" || (held.length === 0 && inbox.empty))
				return done();
			const id = packet.qos > 0 ? packet.messageId : undefined;
			// with an error mqtt.js goes on and leaves the acknowledgement to us
			inbox.take(id, held, () => done(LATER));
		};
	}

	/** Acknowledges what is done with. */
	flush(): void {
		this.#inbox?.messages.flush();
	}

	#inboxOf(client: MqttClient): Inbox {
		const { stream } = client;
		if (this.#inbox?.of !== stream)
			this.#inbox = {
				of: stream,
				messages: new Inbox(this.#o.limit, (acknowledgements) => {
					if (client.stream === stream && client.connected)
						stream.write(acknowledgements);
				}),
			};
		return this.#inbox.messages;
	}

	#dispatch(name: string, payload: Buffer, retained: boolean): void {
		for (const [filter, handlers] of this.#o.handlers()) {
			if (!matches(filter, name)) continue;
			for (const handler of handlers)
				try {
					const held = handler(name, payload, retained);
					if (held instanceof Promise) {
						held.catch(this.#o.onError);
						this.#held.push(held);
					}
				} catch {
					this.#o.onError();
				}
		}
	}
}
