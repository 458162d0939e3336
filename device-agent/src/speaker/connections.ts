import type { Server } from "node:http";
import type { Socket } from "node:net";

/**
 * A server's connections, with the requests under way on each. Node's own closing leaves connections open on
 * which nothing was ever asked, and browsers and `fetch` keep such spares.
 */
export class Connections {
	readonly #requests = new Map<Socket, number>();
	#closing = false;

	/** Counts from now on. */
	constructor(server: Server) {
		server.on("connection", (socket) => {
			this.#requests.set(socket, 0);
			socket.once("close", () => this.#requests.delete(socket));
		});
		server.on("request", ({ socket }, response) => {
			this.#requests.set(socket, (this.#requests.get(socket) ?? 0) + 1);
			response.once("close", () => {
				const left = (this.#requests.get(socket) ?? 1) - 1;
				if (this.#requests.has(socket)) this.#requests.set(socket, left);
				// end, not destroy: what was written last is still on its way
				if (this.#closing && left === 0) socket.end();
			});
		});
	}

	/** Ends those on which nothing is under way at once, the others when their requests end. Idempotent. */
	close(): void {
		this.#closing = true;
		for (const [socket, requests] of this.#requests)
			if (requests === 0) socket.destroy();
	}
}
