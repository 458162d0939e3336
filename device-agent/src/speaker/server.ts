import { asWattvoxError } from "@wattvox/core";
import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { z } from "zod";
import { errorBody, refuse } from "./answers.ts";
import { Connections } from "./connections.ts";
import { Counters } from "./counters.ts";
import { type FromSpeaker, runtimeOf } from "./messages.ts";
import type { PlayOptions } from "./playback.ts";
import { choosePlayer, type Player } from "./player.ts";
import { Speech, type Wanted, zSpeech } from "./speech.ts";
import { Turns } from "./turns.ts";
import { VoiceChoice } from "./voice-choice.ts";
import type { VoiceShelf } from "./voice-shelf.ts";
import type { VoiceSlot } from "./voice-slot.ts";

export interface SpeechServerOptions {
	slot: VoiceSlot;
	/** Voices beside that one; without it there are none. */
	shelf?: VoiceShelf;
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
 * the device itself; `GET /v1/voices`, `/healthz` and `/metrics`. It listens on loopback alone.
 */
export class SpeechServer {
	readonly #o: SpeechServerOptions;
	readonly #app: FastifyInstance;
	readonly #turns: Turns;
	readonly #counters = new Counters();
	readonly #connections: Connections;
	readonly #speech: Speech;
	/** Which voice a request means. */
	readonly voices: VoiceChoice;

	constructor(options: SpeechServerOptions) {
		this.#o = options;
		this.#turns = new Turns(options.maxWaiting ?? 16);
		this.voices = new VoiceChoice(options.slot, options.shelf);
		this.#speech = new Speech({
			voices: this.voices,
			turns: this.#turns,
			counters: this.#counters,
			player: options.player ?? choosePlayer,
			stuckMs: options.stuckMs,
			onEvent: options.onEvent ?? (() => undefined),
		});
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
					.send(
						errorBody("E_USAGE", "this service is for the device itself", 403),
					);
		});
		app.setErrorHandler(async (thrown, _request, reply) => {
			const status = (thrown as { statusCode?: number }).statusCode;
			const error = asWattvoxError(thrown);
			if (status && status < 500)
				return reply
					.code(status)
					.send(errorBody("E_USAGE", error.message, status));
			return refuse(reply, error, this.voices);
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
						.send(errorBody("E_USAGE", z.prettifyError(parsed.error), 400));
				const gone = new AbortController();
				reply.raw.once("close", () => gone.abort());
				return serve(parsed.data, reply, gone.signal);
			});
		post("/v1/audio/speech", (...request) => this.#speech.speak(...request));
		post("/v1/audio/play", (...request) => this.#speech.play(...request));
		app.get("/metrics", async (_request, reply) =>
			reply.type("text/plain; version=0.0.4; charset=utf-8").send(
				this.#counters.metrics({
					waiting: this.#turns.waiting,
					loaded: this.#o.slot.digest !== null,
					voices: this.voices.list(),
					shelf: this.#o.shelf,
				}),
			),
		);
		app.get("/v1/voices", async () => ({ voices: this.voices.list() }));
		app.get("/healthz", async (_request, reply) => {
			const { slot } = this.#o;
			return reply.code(slot.digest ? 200 : 503).send({
				status: slot.digest ? "ok" : "no voice",
				voice: slot.voice?.config.name ?? null,
				bundle: slot.digest,
				runtime: slot.digest ? runtimeOf(slot.engine) : null,
				waiting: this.#turns.waiting,
				...this.#counters.health,
			});
		});
	}
}
