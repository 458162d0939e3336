import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket, TlsOptions } from "node:tls";
import { createWebSocketStream, WebSocketServer } from "ws";

/** MQTT over WebSocket, as section 6 of MQTT 3.1.1 has it. */
export interface WebOptions {
	/** 0 takes a free one. */
	port: number;
	/**
	 * Pages that may connect, such as `https://fleet.example`. Default: none. A browser says which page
	 * asks; without this any page that somebody on this machine looks at could command the fleet.
	 */
	origins?: readonly string[];
}

/** A WebSocket listener that runs. */
export interface WebListener {
	port: number;
	/** Drops who is connected and stops listening. */
	stop(): Promise<void>;
}

/** An MQTT packet, or a part of one, in a frame: what the largest broker in use takes as a packet. */
const FRAME_MAX_BYTES = 2 << 20;

/**
 * Listens for WebSockets of the subprotocol `mqtt`; every other request is refused.
 * @param take is given each connection as a stream of bytes, and the request that it came by
 * @param allowed whether a TLS connection may go on
 * @throws system errors of listening
 */
export async function listenWeb(
	host: string,
	{ port, origins = [] }: WebOptions,
	tls: TlsOptions | undefined,
	allowed: (socket: TLSSocket) => boolean,
	take: (stream: Duplex, request: IncomingMessage) => void,
): Promise<WebListener> {
	const sockets = new Set<Duplex>();
	const server = tls ? createTlsServer(tls) : createServer();
	const web = new WebSocketServer({
		noServer: true,
		maxPayload: FRAME_MAX_BYTES,
		handleProtocols: () => "mqtt",
	});
	server.on("request", (_, response) => response.writeHead(426).end());
	// a handshake that fails is the client's trouble
	server.on("tlsClientError", () => undefined);
	server.on("upgrade", (request, socket, head) => {
		socket.on("error", () => undefined);
		const { origin, "sec-websocket-protocol": protocols = "" } =
			request.headers;
		if (
			(origin !== undefined && !origins.includes(origin)) ||
			(tls && !allowed(socket as TLSSocket))
		)
			return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
		if (!protocols.split(",").some((p) => p.trim() === "mqtt"))
			return void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
		sockets.add(socket);
		socket.once("close", () => sockets.delete(socket));
		web.handleUpgrade(request, socket, head, (connection) => {
			const stream = createWebSocketStream(connection);
			// a client that goes away mid-frame is no error of the broker's
			stream.on("error", () => undefined);
			take(stream, request);
		});
	});
	server.listen(port, host);
	await once(server, "listening");
	return {
		port: (server.address() as AddressInfo).port,
		async stop() {
			const closed = new Promise<void>((resolve) =>
				server.close(() => resolve()),
			);
			for (const socket of sockets) socket.destroy();
			server.closeAllConnections();
			await closed;
		},
	};
}
