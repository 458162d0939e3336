import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { LiveFleet } from "../live/live-fleet.ts";

/** So many may listen; one more is told to come back. */
const MOST = 100;
/** A listener that does not read this much is let go, bytes. */
const BEHIND = 256 * 1024;

/** Server-sent events: the fleet's summary when it changed, and a sign of life. */
export class LiveStream {
	readonly #live: LiveFleet;
	readonly #everyMs: number;
	readonly #listeners = new Set<ServerResponse>();
	#timer: NodeJS.Timeout | undefined;
	#said = -1;
	#quiet = 0;

	constructor(live: LiveFleet, everyMs: number) {
		this.#live = live;
		this.#everyMs = everyMs;
	}

	start(): void {
		this.#timer ??= setInterval(() => this.#tick(), this.#everyMs).unref();
	}

	/** Ends every stream. Idempotent. */
	stop(): void {
		clearInterval(this.#timer);
		this.#timer = undefined;
		for (const listener of this.#listeners) listener.end();
		this.#listeners.clear();
	}

	add(to: ServerResponse, headers: OutgoingHttpHeaders): void {
		if (this.#listeners.size >= MOST) {
			to.writeHead(503, { "retry-after": "30" });
			to.end();
			return;
		}
		to.writeHead(200, { ...headers, "content-type": "text/event-stream" });
		to.write(this.#event());
		this.#listeners.add(to);
	}

	remove(from: ServerResponse): void {
		this.#listeners.delete(from);
	}

	#tick(): void {
		if (this.#listeners.size === 0) return;
		// proxies close what is silent for long
		const changed = this.#live.version !== this.#said;
		if (!changed && ++this.#quiet * this.#everyMs < 15_000) return;
		this.#quiet = 0;
		this.#said = this.#live.version;
		const text = this.#event();
		for (const listener of this.#listeners) {
			listener.write(text);
			if (listener.writableLength < BEHIND) continue;
			listener.destroy();
			this.#listeners.delete(listener);
		}
	}

	#event(): string {
		return `event: summary\ndata: ${JSON.stringify(this.#live.summary())}\n\n`;
	}
}
