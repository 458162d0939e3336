import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import {
	connect,
	type DetailedPeerCertificate,
	type TLSSocket,
} from "node:tls";
import { type Clock, WattvoxError } from "@wattvox/core";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { readCertificates, whyNotTrusted } from "./certificate-judge.ts";

/** Below what the machine's clock is known to be wrong. */
export interface TimeFloor {
	/** Milliseconds since 1970; may change. */
	floor: () => number;
	clock: Clock;
}

/**
 * An MQTT client that begins to connect, as `mqtt.connect` makes it.
 *
 * Where a private authority is given (`options.ca`) and the machine's clock stands below the floor, TLS
 * cannot ask that clock whether the broker's certificate holds: see {@link connectWithoutClock}. That is
 * looked at for every connection anew.
 */
export function connectBroker(
	url: string,
	options: IClientOptions,
	time: TimeFloor | undefined,
): MqttClient {
	const { protocol, hostname, port, username, password } = new URL(url);
	const web = protocol === "wss:";
	if (!time || !options.ca || (!web && protocol !== "mqtts:"))
		return mqtt.connect(url, options);
	const { ca, cert, key } = options;
	const to: Host = {
		host: hostname.replace(/^\[|\]$/g, ""),
		port: Number(port || (web ? 443 : 8883)),
		tls: {
			ca: String(ca),
			...(cert && { cert: String(cert) }),
			...(key && { key: String(key) }),
		},
	};
	const dial = (): TLSSocket => {
		const floor = time.floor();
		return time.clock.wall() < floor
			? connectWithoutClock(to, floor)
			: connect(tlsOptions(to));
	};
	if (web)
		return mqtt.connect(url, {
			...options,
			wsOptions: { createConnection: dial },
		});
	const account = {
		...(username && { username: decodeURIComponent(username) }),
		...(password && { password: decodeURIComponent(password) }),
	};
	return new mqtt.MqttClient(dial, {
		...{ protocol: "mqtts", ...account },
		...options,
	});
}

interface Host {
	host: string;
	port: number;
	tls: { ca: string; cert?: string; key?: string };
}

const tlsOptions = ({ host, port, tls }: Host) => ({
	...{ host, port, ...tls },
	...(isIP(host) === 0 && { servername: host }),
});

/**
 * Connects by TLS where the time is not known, but a floor of it is. OpenSSL judges by the machine's
 * clock and cannot be given another, so its verdict is not used; ours is ({@link whyNotTrusted}).
 *
 * INVARIANT: nothing that is written to the socket leaves before the server was found to be the right
 * one. Node says that the handshake is over before it sends what waited for that, and destroys a socket
 * of whose server it does not approve at that very moment; so do we.
 */
function connectWithoutClock(to: Host, floor: number): TLSSocket {
	const anchors = readCertificates(to.tls.ca);
	const socket = connect({ ...tlsOptions(to), rejectUnauthorized: false });
	socket.prependOnceListener("secureConnect", () => {
		const shown = peerCertificates(socket);
		const [leaf, ...above] = shown;
		const why = leaf
			? whyNotTrusted({ leaf, above, anchors, host: to.host, floor })
			: "it has no certificate";
		if (why !== undefined)
			socket.destroy(
				new WattvoxError("E_BROKER", `the broker is not trusted: ${why}`),
			);
	});
	return socket;
}

/** The server's certificate first, then what it sent along and what issued those. */
function peerCertificates(socket: TLSSocket): X509Certificate[] {
	const found = new Map<string, X509Certificate>();
	let next: DetailedPeerCertificate | undefined =
		socket.getPeerCertificate(true);
	// a root is its own issuer
	while (next?.raw && !found.has(next.fingerprint256)) {
		found.set(next.fingerprint256, new X509Certificate(next.raw));
		next = next.issuerCertificate;
	}
	return [...found.values()];
}
