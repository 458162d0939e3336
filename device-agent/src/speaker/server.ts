import { once } from "node:events";
import { Readable } from "node:stream";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { syntheticTag, type Utterance, type Voice } from "@wattvox/synth";
import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { z } from "zod";
import { errorBody, refuse } from "./answers.ts";
import { Connections } from "./connections.ts";
import { Counters } from "./counters.ts";
import type { FromSpeaker } from "./messages.ts";
import { type PlayOptions, play } from "./playback.ts";
import { choosePlayer, type Player } from "./player.ts";
import { Turns } from "./turns.ts";
import type { VoiceSlot } from "./voice-slot.ts";
import { pcm16, wavStreamHeader } from "./wav-stream.ts";

/** The body of OpenAI's speech endpoint, as far as a device can serve it. */
const zSpeech = z.object({
	/** Any: a device has one. */
	model: z.string().max(100).optional(),
	input: z.string().min(1).max(20_000),
	/** The voice's name; "default" is the one that is active. */
	voice: z.string().max(100).optional(),
	response_format: z.enum(["wav", "pcm"]).default("wav"),
	speed: z.number().min(0.25).max(4).default(1),
});
type Wanted = z.infer<typeof zSpeech>;

/** A listener that takes nothing for this long is cut off: others wait for their turn behind it. */
const STALL_MS = 60_000;

export interface SpeechServerOptions {
	slot: VoiceSlot;
	/** Default 0: a free one. */
	port?: number;
	/** Requests that may wait for their turn. Default 16. */
	maxWaiting?: number;
	/** What plays `/v1/audio/play`, asked anew each time. Default: what is installed. */
	player?: () => Player;
	/** When a player counts as stuck; see {@link PlayOptions}. */
	stuckMs?: PlayOptions["stuckMs"];
	/** Told when an utterance begins and ends. */
	onEvent?: (event: Extract<FromSpeaker, { kind: "begin" | "end" }>) => void;
}

/**
 * The local speech API: `POST /v1/audio/speech`, streamed chunk by chunk; `POST /v1/audio/play`, heard from
 * the device itself; `GET /healthz` and `/metrics`. It listens on loopback alone.
 */
export class SpeechServer {
	readonly #o: SpeechServerOptions;
	readonly #app: FastifyInstance;
	readonly #turns: Turns;
	readonly #counters = new Counters();
	readonly #connections: Connections;
	#next = 0;

	constructor(options: SpeechServerOptions) {
		this.#o = options;
		this.#turns = new Turns(options.maxWaiting ?? 16);
		this.#app = Fastify({ bodyLimit: 256 * 1024 });
		this.#connections = new Connections(this.#app.server);
		this.#routes();
	}

	/** Listens. @returns the port @throws WattvoxError E_BUSY (port taken) */
	async start(): Promise<number> {
		await this.#app.listen({ host: "127.0.0.1", port: this.#o.port ?? 0 });
		const address = this.#app.server.address();
		return typeof address === "object" && address ? address.port : 0;
	}

	/** Takes no new requests and ends when those under way have. Idempotent. */
	async stop(): Promise<void> {
		const closed = this.#app.close();
		this.#connections.close();
		await closed;
	}

	#routes(): void {
		const app = this.#app;
		// A web page can send requests to loopback under a name of its own (DNS rebinding).
		app.addHook("onRequest", async (request, reply) => {
			const host = request.hostname.replace(/^\[|\]$/g, "");
			if (!["127.0.0.1", "localhost", "::1"].includes(host))
				return reply
					.code(403)
					.send(errorBody("E_USAGE", "this service is for the device itself"));
		});
		app.setErrorHandler(async (thrown, _request, reply) => {
			const status = (thrown as { statusCode?: number }).statusCode;
			const error = asWattvoxError(thrown);
			if (status && status < 500)
				return reply.code(status).send(errorBody("E_USAGE", error.message));
			return refuse(reply, error);
		});
		app.addHook("onResponse", async (request, reply) => {
			if (!request.url.startsWith("/v1/")) return;
			this.#counters.answered(reply.statusCode);
		});
		const post = (
			path: string,
			serve: (
				wanted: Wanted,
				reply: FastifyReply,
				gone: AbortSignal,
			) => Promise<FastifyReply>,
		) =>
			app.post(path, async (request, reply) => {
				const parsed = zSpeech.safeParse(request.body);
				if (!parsed.success)
					return reply
						.code(400)
						.send(errorBody("E_USAGE", z.prettifyError(parsed.error)));
				const gone = new AbortController();
				reply.raw.once("close", () => gone.abort());
				return serve(parsed.data, reply, gone.signal);
			});
		post("/v1/audio/speech", (...request) => this.#speak(...request));
		post("/v1/audio/play", (...request) => this.#play(...request));
		app.get("/metrics", async (_request, reply) =>
			reply.type("text/plain; version=0.0.4; charset=utf-8").send(
				this.#counters.metrics({
					waiting: this.#turns.waiting,
					loaded: this.#o.slot.digest !== null,
				}),
			),
		);
		app.get("/healthz", async (_request, reply) => {
			const { slot } = this.#o;
			return reply.code(slot.digest ? 200 : 503).send({
				status: slot.digest ? "ok" : "no voice",
				voice: slot.voice?.config.name ?? null,
				bundle: slot.digest,
				waiting: this.#turns.waiting,
				...this.#counters.health,
			});
		});
	}

	async #speak(
		wanted: Wanted,
		reply: FastifyReply,
		signal: AbortSignal,
	): Promise<FastifyReply> {
		const give = await this.#turns.take(signal);
		// Headers wait for the first samples: until then an error can still be said properly.
		return new Promise<FastifyReply>((answered, failed) => {
			this.#o.slot
				.use(async (voice, digest) => {
					const utterance = begin(voice, wanted, signal);
					await this.#account(utterance, digest, async () => {
						const sound = await this.#sound(
							utterance,
							voice,
							wanted.response_format,
						);
						const ended = once(sound, "close");
						// Node destroys the connection then, and restores its own limit afterwards.
						reply.raw.socket?.setTimeout(STALL_MS);
						answered(
							about(reply, voice, digest)
								.type(
									wanted.response_format === "wav"
										? "audio/wav"
										: `audio/pcm;rate=${utterance.sampleRate};channels=1;bits=16`,
								)
								.header("x-sample-rate", utterance.sampleRate)
								.send(sound),
						);
						await ended;
						return sound.readableEnded;
					});
				})
				.catch(failed)
				.finally(give);
		}).catch((thrown) => refuse(reply, asWattvoxError(thrown)));
	}

	/** Speaks from the device itself; answers when all of it was heard. Others wait for their turn meanwhile. */
	async #play(
		wanted: Wanted,
		reply: FastifyReply,
		signal: AbortSignal,
	): Promise<FastifyReply> {
		const give = await this.#turns.take(signal);
		try {
			return await this.#o.slot.use(async (voice, digest) => {
				const utterance = begin(voice, wanted, signal);
				const player = (this.#o.player ?? choosePlayer)();
				let played: Awaited<ReturnType<typeof play>> | undefined;
				await this.#account(utterance, digest, async () => {
					played = await play(utterance, {
						player,
						rate: utterance.sampleRate,
						signal,
						stuckMs: this.#o.stuckMs,
					});
					this.#counters.played(played);
					return true;
				});
				return about(reply, voice, digest).send({
					voice: voice.config.name,
					bundle: digest,
					player: player.system,
					...played,
				});
			});
		} catch (thrown) {
			return refuse(reply, asWattvoxError(thrown));
		} finally {
			give();
		}
	}

	/** The bytes of an utterance. Its first chunk is computed when this resolves. */
	async #sound(
		utterance: Utterance,
		voice: Voice,
		format: "wav" | "pcm",
	): Promise<Readable> {
		const { name, sampleRate } = voice.config;
		const chunks = utterance[Symbol.asyncIterator]();
		const first = await chunks.next();
		async function* bytes() {
			try {
				if (format === "wav")
					yield wavStreamHeader(sampleRate, syntheticTag(name));
				for (let next = first; !next.done; next = await chunks.next())
					yield pcm16(next.value);
			} finally {
				// The listener may have left: then the rest is not to be computed.
				await chunks.return?.();
			}
		}
		return Readable.from(bytes(), { objectMode: false });
	}

	/** Tells the agent what an utterance took, whatever its end. */
	async #account(
		utterance: Utterance,
		digest: string,
		speak: () => Promise<boolean>,
	) {
		const id = this.#next++;
		const { onEvent } = this.#o;
		onEvent?.({ kind: "begin", id, digest });
		let whole = false;
		try {
			whole = await speak();
		} finally {
			const { audioSeconds, computeMs, firstSoundMs } = utterance.stats;
			this.#counters.spoke(utterance.stats, whole);
			onEvent?.({
				kind: "end",
				id,
				whole,
				audioSeconds,
				computeMs,
				firstSoundMs,
			});
		}
	}
}

/** @throws WattvoxError E_USAGE for another voice than this */
function begin(
	voice: Voice,
	{ input, speed, voice: asked }: Wanted,
	signal: AbortSignal,
): Utterance {
	const { name } = voice.config;
	if (![undefined, "default", name].includes(asked))
		throw new WattvoxError(
			"E_USAGE",
			`no voice "${asked}"; there is "${name}"`,
		);
	return voice.speak(input, { speed, signal });
}

/** Says which bundle speaks, and that it is no human being. */
function about(
	reply: FastifyReply,
	voice: Voice,
	digest: string,
): FastifyReply {
	return reply
		.header("x-synthetic-audio", syntheticTag(voice.config.name))
		.header("x-wattvox-bundle", digest);
}
