import { once } from "node:events";
import {
	type AddressInfo,
	createServer,
	type Server,
	type Socket,
} from "node:net";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { Aedes, type AedesOptions } from "aedes";

/** Who may connect, and what they may do. Without one, everybody may do everything. */
export interface BrokerAccess {
	/** Whether this client may connect. */
	connect(clientId: string, username?: string, password?: Buffer): boolean;
	publish(clientId: string, topic: string): boolean;
	subscribe(clientId: string, filter: string): boolean;
	/** Told when a client that may connect has gone. */
	gone?(clientId: string): void;
}

export interface BrokerOptions {
	/** Default 127.0.0.1. Any other needs `access`. */
	host?: string;
	/** Default 1883; 0 takes a free one. */
	port?: number;
	access?: BrokerAccess;
	/** How long a client that does not read is waited for before it is dropped. Default 10 000. */
	drainTimeoutMs?: number;
}

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/** The embedded MQTT 3.1.1 broker, for one machine and for tests. */
export class Broker {
	readonly #o: BrokerOptions;
	readonly #sockets = new Set<Socket>();
	#aedes: Aedes | undefined;
	#server: Server | undefined;
	#port = 0;

	constructor(options: BrokerOptions = {}) {
		this.#o = options;
	}

	/** A broker, started. */
	static async start(options: BrokerOptions = {}): Promise<Broker> {
		const broker = new Broker(options);
		await broker.start();
		return broker;
	}

	/** Where clients connect. */
	get url(): string {
		const host = this.#o.host ?? "127.0.0.1";
		return `mqtt://${host.includes(":") ? `[${host}]` : host}:${this.port}`;
	}

	/** The port it listens on; 0 before it does. */
	get port(): number {
		return this.#port;
	}

	/** How many clients are connected. */
	get clients(): number {
		return this.#aedes?.connectedClients ?? 0;
	}

	/** @throws WattvoxError E_USAGE (open to the network without access rules), E_BROKER (port taken) */
	async start(): Promise<void> {
		if (this.#server) return;
		const { host = "127.0.0.1", port = 1883, access } = this.#o;
		if (!LOOPBACK.has(host) && !access)
			throw new WattvoxError(
				"E_USAGE",
				`a broker on ${host} needs access rules: anybody could command the fleet`,
			);
		const aedes = await Aedes.createBroker({
			// one reader that stalls must not hold up everybody behind it for ever
			drainTimeout: this.#o.drainTimeoutMs ?? 10_000,
			...(access && rules(access)),
		});
		// noDelay: without it the tail of each block waits for an acknowledgement
		const server = createServer({ noDelay: true }, (socket) => {
			this.#sockets.add(socket);
			socket.once("close", () => this.#sockets.delete(socket));
			// aedes reports it as a client error; unheard it would end the process
			socket.on("error", () => undefined);
			aedes.handle(socket);
		});
		try {
			server.listen(port, host);
			await once(server, "listening");
		} catch (thrown) {
			await new Promise<void>((resolve) => aedes.close(() => resolve()));
			throw new WattvoxError(
				"E_BROKER",
				`no broker on ${host}:${port}: ${asWattvoxError(thrown).message}`,
				{ cause: thrown },
			);
		}
		this.#aedes = aedes;
		this.#server = server;
		this.#port = (server.address() as AddressInfo).port;
	}

	/** Drops every client and stops listening. Idempotent. */
	async stop(): Promise<void> {
		const [server, aedes] = [this.#server, this.#aedes];
		this.#server = undefined;
		this.#aedes = undefined;
		if (!server || !aedes) return;
		const closed = new Promise<void>((resolve) =>
			server.close(() => resolve()),
		);
		await new Promise<void>((resolve) => aedes.close(() => resolve()));
		for (const socket of this.#sockets) socket.destroy();
		await closed;
	}
}

function rules(access: BrokerAccess): AedesOptions {
	return {
		authenticate(client, username, password, done) {
			done(null, access.connect(client.id, username, password));
		},
		authorizePublish(client, packet, done) {
			// no client: the broker itself speaks, such as for a will
			const allowed = !client || access.publish(client.id, packet.topic);
			done(allowed ? null : new Error("not authorized"));
		},
		authorizeSubscribe(client, subscription, done) {
			const allowed = access.subscribe(client.id, subscription.topic);
			done(null, allowed ? subscription : null);
		},
	};
}
