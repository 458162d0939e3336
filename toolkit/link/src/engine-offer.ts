import type { BlockSource } from "@wattvox/bundle";
import {
	backoff,
	type Clock,
	type ErrorCode,
	systemClock,
	type WattvoxError,
} from "@wattvox/core";
import type { Channel } from "./fetch-types.ts";
import {
	decode,
	encode,
	type Offer,
	type Verdict,
	zVerdict,
} from "./messages.ts";
import { BlockServer } from "./serve.ts";
import { topic, UPLOAD_LANE } from "./topics.ts";

export interface EngineOfferOptions {
	link: Channel;
	fleet: string;
	/** The build station. */
	device: string;
	/** The store that is to take it. */
	store: string;
	/** The engine's name. */
	name: string;
	/** Its signed head, and the blocks of its plan by the plan's digest. */
	source: Pick<BlockSource, "readBlock"> & {
		readEngine: NonNullable<BlockSource["readEngine"]>;
	};
	/** Silence after which it is offered again, ms: ceiling of the first wait and of any. Default 30 s, 1 h. */
	againMs?: { base: number; max: number };
	clock?: Clock;
	/** Uniform in [0, 1). */
	random?: () => number;
	signal?: AbortSignal;
}

/** Reasons that pass: the same offer may be taken later. */
const PASSING: readonly ErrorCode[] = [
	"E_BUSY",
	"E_BROKER",
	"E_TIMEOUT",
	"E_PULL",
	"E_DISK_FULL",
	"E_OUTPUT",
	"E_INTERRUPTED",
	"E_EXPIRED",
];

/**
 * Offers an engine to a store and answers its requests, until the store says what became of it. The offer
 * is repeated after a silence, after the connection came back, and when what stood against it may have
 * passed; the store keeps what it has of the engine meanwhile, so nothing is sent twice but one window.
 * @returns that the store holds it, or a refusal that would only repeat
 * @throws WattvoxError E_BROKER, E_DENIED (the broker keeps the store's word from here); the signal's reason
 */
export async function offerEngine(o: EngineOfferOptions): Promise<Verdict> {
	const { link, fleet, device, store, name, signal } = o;
	const { clock = systemClock, random = Math.random } = o;
	const { base, max } = o.againMs ?? { base: 30_000, max: 3_600_000 };
	let said: Verdict | undefined;
	let denied: WattvoxError | null = null;
	let bell = new AbortController();
	const server = new BlockServer({
		...{ link, store, fleet, device, lane: UPLOAD_LANE },
		source: { readManifest: async () => undefined, ...o.source },
		concurrency: 2,
	});
	const offs: (() => unknown)[] = [
		link.onReady(() => bell.abort()),
		() => server.stop(),
	];
	const offer: Offer = { v: 1, store, engine: name };
	const hush = { ...(signal && { signal }) };
	try {
		offs.push(
			await link.subscribe(
				topic(fleet, device, "verdict"),
				(_, payload) => {
					const heard = decode(zVerdict, payload);
					if (heard?.store !== store || heard.engine !== name) return;
					said = heard;
					bell.abort();
				},
				signal,
				(why) => {
					denied = why;
					bell.abort();
				},
			),
		);
		await server.start(signal);
		for (let attempt = 1; ; attempt++) {
			signal?.throwIfAborted();
			if (denied) throw denied;
			bell = new AbortController();
			await link.publish(topic(fleet, device, "offer"), encode(offer), {
				...{ qos: 1, ...hush },
			});
			const wait = () => base + backoff(attempt, base, max, random);
			for (let seen = -1; !said && seen !== server.counters.requests; ) {
				seen = server.counters.requests;
				await sleep(clock, wait(), bell.signal, signal);
				if (bell.signal.aborted) break;
			}
			if (!said) continue;
			if (said.held || !passes(said)) return said;
			// a word to an offer that was repeated may come late, and count
			said = undefined;
			bell = new AbortController();
			await sleep(clock, wait(), bell.signal, signal);
		}
	} finally {
		for (const off of offs.reverse()) await off();
	}
}

function passes({ reason }: Verdict): boolean {
	return PASSING.some((code) => code === reason?.code);
}

/** Waits, or until the bell rings. @throws the signal's reason */
async function sleep(
	clock: Clock,
	ms: number,
	bell: AbortSignal,
	signal: AbortSignal | undefined,
): Promise<void> {
	const either = signal ? AbortSignal.any([signal, bell]) : bell;
	await clock.sleep(ms, either).catch(() => undefined);
	signal?.throwIfAborted();
}
