import { once } from "node:events";
import {
	type AddressInfo,
	createServer,
	type Server,
	type Socket,
} from "node:net";
import {
	createServer as createTlsServer,
	TLSSocket,
	type TlsOptions,
} from "node:tls";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { Aedes, type AedesOptions } from "aedes";
import { BrokerFeed } from "./broker-feed.ts";
import { type Retained, RetainedStore } from "./broker-retained.ts";
import { listenWeb, type WebListener, type WebOptions } from "./broker-web.ts";

/** Who may connect, and what they may do. Without one, everybody may do everything. */
export interface BrokerAccess {
	/**
	 * Whether this client may connect.
	 * @param certified common name of its certificate, where it has one that the authority signed
	 */
	connect(
		clientId: string,
		username?: string,
		password?: Buffer,
		certified?: string,
	): boolean;
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
	/**
	 * TLS, all PEM. With `ca`, clients may show a certificate signed by it; one that does not hold is
	 * refused.
	 */
	tls?: { cert: string; key: string; ca?: string };
	/** Listens for WebSockets too, with the same rules, and with TLS where that is given. */
	web?: WebOptions;
	/** Folder for retained messages. Default: memory, so that a restart forgets them. */
	dataDir?: string;
	/** How long a client that does not read is waited for before it is dropped. Default 10 000. */
	drainTimeoutMs?: number;
}

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/** The embedded MQTT 3.1.1 broker, for one machine and for tests. */
export class Broker {
	/** What is published here, before its sender is told that it arrived. */
	readonly feed: BrokerFeed = new BrokerFeed();
	readonly #o: BrokerOptions;
	readonly #sockets = new Set<Socket>();
	#aedes: Aedes | undefined;
	#server: Server | undefined;
	#retained: RetainedStore | undefined;
	#web: WebListener | undefined;
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
		return this.#at(this.#o.tls ? "mqtts" : "mqtt", this.port);
	}

	/** Where clients connect by WebSocket; undefined while nobody listens for them. */
	get webUrl(): string | undefined {
		const port = this.#web?.port;
		if (port === undefined) return undefined;
		return this.#at(this.#o.tls ? "wss" : "ws", port);
	}

	#at(scheme: string, port: number): string {
		const host = this.#o.host ?? "127.0.0.1";
		return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
	}

	/** The port it listens on; 0 before it does. */
	get port(): number {
		return this.#port;
	}

	/** How many clients are connected. */
	get clients(): number {
		return this.#aedes?.connectedClients ?? 0;
	}

	/**
	 * @throws WattvoxError E_USAGE (open to the network without access rules), E_BROKER (port taken),
	 * E_OUTPUT, E_DISK_FULL (retained messages)
	 */
	async start(): Promise<void> {
		if (this.#server) return;
		const { host = "127.0.0.1", port = 1883, access } = this.#o;
		if (!LOOPBACK.has(host) && !access)
			throw new WattvoxError(
				"E_USAGE",
				`a broker on ${host} needs access rules: anybody could command the fleet`,
			);
		const retained = this.#o.dataDir && new RetainedStore(this.#o.dataDir);
		const found = retained ? await retained.open() : [];
		const aedes = await Aedes.createBroker({
			// one reader that stalls must not hold up everybody behind it for ever
			drainTimeout: this.#o.drainTimeoutMs ?? 10_000,
			...(access && rules(access)),
			authorizePublish: mayPublish(access, this.feed, retained || undefined),
		});
		this.#retained = retained || undefined;
		for (const message of found) await restore(aedes, message);
		if (access?.gone)
			aedes.on("clientDisconnect", ({ id }) => access.gone?.(id));
		const tls = this.#o.tls && tlsOptions(this.#o.tls);
		const server = listener(tls, (socket) => {
			this.#sockets.add(socket);
			socket.once("close", () => this.#sockets.delete(socket));
			// aedes reports it as a client error; unheard it would end the process
			socket.on("error", () => undefined);
			aedes.handle(socket);
		});
		try {
			server.listen(port, host);
			await once(server, "listening");
			if (this.#o.web)
				this.#web = await listenWeb(
					...([host, this.#o.web, tls, certificateHolds] as const),
					(stream, request) => aedes.handle(stream, request),
				);
		} catch (thrown) {
			server.close();
			await new Promise<void>((resolve) => aedes.close(() => resolve()));
			await this.#retained?.close();
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

	/**
	 * Publishes from this process, past the access rules. Resolves when the sockets of all who
	 * subscribed have taken it.
	 * @throws WattvoxError E_BROKER (it does not run)
	 */
	async publish(topic: string, payload: Buffer, qos: 0 | 1 = 0): Promise<void> {
		const aedes = this.#aedes;
		if (!aedes) throw new WattvoxError("E_BROKER", "the broker does not run");
		const packet = { cmd: "publish", dup: false, qos, retain: false } as const;
		await new Promise<void>((resolve, reject) =>
			aedes.publish({ ...packet, topic, payload }, (error) =>
				error ? reject(error) : resolve(),
			),
		);
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
		await this.#web?.stop();
		this.#web = undefined;
		await closed;
		await this.#retained?.close();
	}
}

function tlsOptions(tls: NonNullable<BrokerOptions["tls"]>): TlsOptions {
	const { cert, key, ca } = tls;
	const asked = { ca, requestCert: true, rejectUnauthorized: false };
	return { cert, key, ...(ca !== undefined && (asked as TlsOptions)) };
}

/** noDelay: without it the tail of each block waits for an acknowledgement. */
function listener(
	tls: TlsOptions | undefined,
	take: (socket: Socket) => void,
): Server {
	if (!tls) return createServer({ noDelay: true }, take);
	const server = createTlsServer({ ...tls, noDelay: true }, (socket) => {
		if (certificateHolds(socket)) take(socket);
		else socket.destroy();
	});
	// a handshake that fails is the client's trouble
	server.on("tlsClientError", () => undefined);
	return server;
}

/** No certificate is allowed, a bad one is not: Node cannot say that by options. */
function certificateHolds(socket: TLSSocket): boolean {
	const shown = Object.keys(socket.getPeerCertificate()).length > 0;
	return !shown || socket.authorized;
}

/** Hands a message that was kept back to the broker's memory. */
function restore(aedes: Aedes, { topic, payload, qos }: Retained) {
	const packet = { cmd: "publish", dup: false, retain: true } as const;
	return new Promise<void>((resolve, reject) =>
		aedes.publish({ ...packet, topic, payload, qos }, (error) =>
			error ? reject(error) : resolve(),
		),
	);
}

/** Presence that outlived the broker would be a lie: who is there says so again. */
const PASSING = /^wattvox\/v1\/[^/]+\/[^/]+\/presence$/;

/**
 * The rights to publish; and its sender is told when what is to be retained is on disk, and who
 * listens in this process is done with it.
 */
function mayPublish(
	access: BrokerAccess | undefined,
	feed: BrokerFeed,
	retained: RetainedStore | undefined,
): NonNullable<AedesOptions["authorizePublish"]> {
	return (client, packet, done) => {
		const { topic, retain, qos } = packet;
		if (topic.startsWith("$SYS/")) return done(new Error("reserved"));
		// no client: the broker itself speaks, such as for a will
		if (client && access && !access.publish(client.id, topic))
			return done(new Error("not authorized"));
		const keep = retained && retain && !PASSING.test(topic);
		const payload = bytesOf(packet.payload);
		const heard = feed.offer(topic, payload);
		if (!keep && !heard) return done(null);
		const kept =
			keep && retained.keep({ topic, payload, qos: qos > 0 ? 1 : 0 });
		Promise.all([kept, heard]).then(
			() => done(null),
			// which ends the connection: the sender comes back with the message
			(error: Error) => done(error),
		);
	};
}

/** Without a copy: most messages are blocks of 64 KiB. */
function bytesOf(payload: string | Buffer): Buffer {
	return typeof payload === "string" ? Buffer.from(payload) : payload;
}

function commonName(socket: unknown): string | undefined {
	if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
	const { subject } = socket.getPeerCertificate();
	return typeof subject?.CN === "string" ? subject.CN : undefined;
}

function rules(access: BrokerAccess): AedesOptions {
	return {
		authenticate(client, username, password, done) {
			const certified =
				commonName(client.conn) ?? commonName(client.req?.socket);
			done(null, access.connect(client.id, username, password, certified));
		},
		authorizeSubscribe(client, subscription, done) {
			const allowed = access.subscribe(client.id, subscription.topic);
			done(null, allowed ? subscription : null);
		},
	};
}
