import type { Clock, WattvoxError } from "@wattvox/core";
import type { PublishDeniedListener } from "./publications.ts";

/**
 * What a subscriber is called with. It must not block, and what it throws is counted and dropped.
 * A QoS 1 message is acknowledged once the promises that its handlers gave are kept, and not at all
 * when one is broken. Meanwhile others are read, up to `unacknowledgedLimit`: that is how a subscriber
 * which cannot keep up holds the sender back.
 */
export type Handler = (
	topic: string,
	payload: Buffer,
	retained: boolean,
) => unknown;

export interface LinkOptions {
	/** `mqtt://`, `mqtts://`, `ws://` or `wss://`. */
	url: string;
	/** MQTT client id; on a device its device id. */
	clientId: string;
	username?: string;
	password?: string;
	/** PEM: certificate authority, own certificate and key. */
	tls?: { ca?: string; cert?: string; key?: string };
	/**
	 * It is not earlier than this, milliseconds since 1970: for boards without a clock. While the clock
	 * stands below it, and `tls.ca` is given, a broker's certificate is held to this floor in place of the
	 * clock. Default: the clock is believed.
	 */
	timeFloor?: () => number;
	/**
	 * The broker keeps subscriptions and QoS 1 messages while this client is away. Default false.
	 * The client id must then stay the same.
	 */
	persistent?: boolean;
	/** Announces this device: online when connected, offline by will or by `stop`. */
	presence?: { fleet: string; device: string };
	/** Longest wait of `start` for the first connection, milliseconds. Default 10 000. */
	connectTimeoutMs?: number;
	/** Ceiling of the first and of any wait between two attempts. Default 100 and 10 000. */
	reconnectMs?: { base: number; max: number };
	/** Seconds. Default 30. */
	keepaliveSeconds?: number;
	/** Longest wait for the broker's answer to what a connection begins with, ms. Default 30 000. */
	answerMs?: number;
	/** Ceiling of the first wait before what was denied is asked for again, and of any, ms. Default 30 s, 30 min. */
	deniedMs?: { base: number; max: number };
	/** Told of a denied subscription whose own subscriber is not: for who runs this as a service. */
	onDenied?: (why: WattvoxError) => void;
	/** Told of topics on which the broker lets nothing be published with QoS 1, also its own presence. */
	onPublishDenied?: PublishDeniedListener;
	/** QoS 1 messages that may wait for the broker. Default 1000. */
	queueLimit?: number;
	/** Received messages whose handlers may be at it at a time. Default 20 000. */
	unacknowledgedLimit?: number;
	/** Bytes; a broker closes the connection on more than it takes. Default 128 KiB, AWS's limit. */
	payloadLimit?: number;
	clock?: Clock;
	/** Uniform in [0, 1). */
	random?: () => number;
}
