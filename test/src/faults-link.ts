import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { Transform } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** Bytes per second while nothing is wrong: so slow that faults meet blocks under way. */
export const NORMAL_RATE = 4_000_000;

/** The link between a device and its broker: can be cut, closed and slowed down. */
export class BadLink {
	/** Where the broker is; it may change. */
	target = 0;
	/** Nobody gets through. */
	closed = false;
	/** Bytes per second, each way. */
	rate = NORMAL_RATE;
	readonly #sockets = new Set<Socket>();
	readonly #server = createServer({ noDelay: true }, (near) =>
		this.#join(near),
	);

	async start(): Promise<number> {
		this.#server.listen(0, "127.0.0.1");
		await once(this.#server, "listening");
		return (this.#server.address() as AddressInfo).port;
	}

	/** Cuts every connection, without a goodbye. */
	cut(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	async stop(): Promise<void> {
		this.closed = true;
		const closed = new Promise<void>((resolve) =>
			this.#server.close(() => resolve()),
		);
		this.cut();
		await closed;
	}

	#join(near: Socket): void {
		near.on("error", () => undefined);
		if (this.closed) {
			near.destroy();
			return;
		}
		const far = connect({
			host: "127.0.0.1",
			port: this.target,
			noDelay: true,
		});
		for (const [from, to] of [
			[near, far],
			[far, near],
		] as const) {
			this.#sockets.add(from);
			from.on("error", () => undefined);
			from.once("close", () => {
				this.#sockets.delete(from);
				to.destroy();
			});
			from.pipe(this.#slow()).pipe(to);
		}
	}

	#slow(): Transform {
		const through = new Transform({
			highWaterMark: 16_384,
			transform: (chunk: Buffer, _, done) => {
				void delay((1000 * chunk.byteLength) / this.rate).then(() =>
					done(null, chunk),
				);
			},
		});
		through.on("error", () => undefined);
		return through;
	}
}
