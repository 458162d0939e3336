import { once } from "node:events";
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { asWattvoxError, EXIT, type WattvoxError } from "@wattvox/core";
import { syntheticTag, type Utterance, type Voice } from "@wattvox/synth";
import Fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { z } from "zod";
import type { FromSpeaker } from "./messages.ts";
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

/** A listener that takes nothing for this long is cut off: others wait for their turn behind it. */
const STALL_MS = 60_000;

export interface SpeechServerOptions {
	slot: VoiceSlot;
	/** Default 0: a free one. */
	port?: number;
	/** Requests that may wait for their turn. Default 16. */
	maxWaiting?: number;
	/** Told when an utterance begins and ends. */
	onEvent?: (event: Extract<FromSpeaker, { kind: "begin" | "end" }>) => void;
}

/**
 * The local speech API: `POST /v1/audio/speech`, streamed chunk by chunk, and `GET /healthz`.
 * It listens on loopback alone.
 */
export class SpeechServer {
	readonly #o: SpeechServerOptions;
	readonly #app: FastifyInstance;
	readonly #turns: Turns;
	readonly #stats = { utterances: 0, audioSeconds: 0, computeSeconds: 0 };
	readonly #answers = { refused: 0, failed: 0 };
	readonly #sockets = new Map<Socket, number>();
	#stopping = false;
	#next = 0;

	constructor(options: SpeechServerOptions) {
		this.#o = options;
		this.#turns = new Turns(options.maxWaiting ?? 16);
		this.#app = Fastify({ bodyLimit: 256 * 1024 });
		this.#watchSockets(this.#app.server);
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
		this.#stopping = true;
		const closed = this.#app.close();
		for (const [socket, requests] of this.#sockets)
			if (requests === 0) socket.destroy();
		await closed;
	}

	/**
	 * Counts the requests of each connection. Node's own closing leaves connections open on which
	 * nothing was ever asked, and browsers and `fetch` keep such spares.
	 */
	#watchSockets(server: Server): void {
		server.on("connection", (socket) => {
			this.#sockets.set(socket, 0);
			socket.once("close", () => this.#sockets.delete(socket));
		});
		server.on("request", ({ socket }, response) => {
			this.#sockets.set(socket, (this.#sockets.get(socket) ?? 0) + 1);
			response.once("close", () => {
				const left = (this.#sockets.get(socket) ?? 1) - 1;
				if (this.#sockets.has(socket)) this.#sockets.set(socket, left);
				// end, not destroy: what was written last is still on its way
				if (this.#stopping && left === 0) socket.end();
			});
		});
	}

	#routes(): void {
		const app = this.#app;
		// A web page can send requests to loopback under a name of its own (DNS rebinding).
		app.addHook("onRequest", async (request, reply) => {
			const host = request.hostname.replace(/^\[|\]$/g, "");
			if (!["127.0.0.1", "localhost", "::1"].includes(host))
				return reply
					.code(403)
					.send(body("E_USAGE", "this service is for the device itself"));
		});
		app.setErrorHandler(async (thrown, _request, reply) => {
			const status = (thrown as { statusCode?: number }).statusCode;
			const error = asWattvoxError(thrown);
			if (status && status < 500)
				return reply.code(status).send(body("E_USAGE", error.message));
			return refuse(reply, error);
		});
		app.addHook("onResponse", async (request, reply) => {
			if (!request.url.startsWith("/v1/")) return;
			if (reply.statusCode === 429) this.#answers.refused++;
			if (reply.statusCode >= 500) this.#answers.failed++;
		});
		app.post("/v1/audio/speech", async (request, reply) => {
			const parsed = zSpeech.safeParse(request.body);
			if (!parsed.success)
				return reply
					.code(400)
					.send(body("E_USAGE", z.prettifyError(parsed.error)));
			const gone = new AbortController();
			reply.raw.once("close", () => gone.abort());
			return this.#speak(parsed.data, reply, gone.signal);
		});
		app.get("/metrics", async (_request, reply) =>
			reply
				.type("text/plain; version=0.0.4; charset=utf-8")
				.send(this.#metrics()),
		);
		app.get("/healthz", async (_request, reply) => {
			const { slot } = this.#o;
			return reply.code(slot.digest ? 200 : 503).send({
				status: slot.digest ? "ok" : "no voice",
				voice: slot.voice?.config.name ?? null,
				bundle: slot.digest,
				waiting: this.#turns.waiting,
				...this.#stats,
			});
		});
	}

	/** Prometheus' text format. */
	#metrics(): string {
		const { utterances, audioSeconds, computeSeconds } = this.#stats;
		const { refused, failed } = this.#answers;
		const { digest } = this.#o.slot;
		const rows: [name: string, kind: string, help: string, value: number][] = [
			["utterances_total", "counter", "Utterances spoken whole", utterances],
			["audio_seconds_total", "counter", "Sound made", audioSeconds],
			["compute_seconds_total", "counter", "Time to make it", computeSeconds],
			["refused_total", "counter", "Requests beyond the queue (429)", refused],
			["failed_total", "counter", "Requests that failed here (5xx)", failed],
			["waiting", "gauge", "Requests that wait", this.#turns.waiting],
			["voice_loaded", "gauge", "Whether a voice speaks", digest ? 1 : 0],
		];
		return rows
			.map(
				([name, kind, help, value]) =>
					`# HELP wattvox_${name} ${help}\n# TYPE wattvox_${name} ${kind}\nwattvox_${name} ${value}\n`,
			)
			.join("");
	}

	async #speak(
		wanted: z.infer<typeof zSpeech>,
		reply: FastifyReply,
		signal: AbortSignal,
	): Promise<FastifyReply> {
		const give = await this.#turns.take(signal);
		// Headers wait for the first samples: until then an error can still be said properly.
		return new Promise<FastifyReply>((answered, failed) => {
			this.#o.slot
				.use(async (voice, digest) => {
					const name = voice.config.name;
					if (![undefined, "default", name].includes(wanted.voice)) {
						answered(
							reply
								.code(400)
								.send(
									body(
										"E_USAGE",
										`no voice "${wanted.voice}"; there is "${name}"`,
									),
								),
						);
						return;
					}
					const utterance = voice.speak(wanted.input, {
						speed: wanted.speed,
						signal,
					});
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
							reply
								.type(
									wanted.response_format === "wav"
										? "audio/wav"
										: `audio/pcm;rate=${utterance.sampleRate};channels=1;bits=16`,
								)
								.header("x-sample-rate", utterance.sampleRate)
								.header("x-synthetic-audio", syntheticTag(name))
								.header("x-wattvox-bundle", digest)
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
			if (whole) this.#stats.utterances++;
			this.#stats.audioSeconds += audioSeconds;
			this.#stats.computeSeconds += computeMs / 1000;
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

function refuse(reply: FastifyReply, error: WattvoxError): FastifyReply {
	if (error.code === "E_BUSY") reply.header("retry-after", "1");
	return reply.code(statusOf(error)).send(body(error.code, error.message));
}

function statusOf(error: WattvoxError): number {
	if (error.code === "E_BUSY") return 429;
	if (error.code === "E_NO_VOICE") return 503;
	// The text is the caller's; a model that fails is ours.
	if (error.code === "E_MODEL") return 500;
	return error.exit === EXIT.input || error.exit === EXIT.usage ? 400 : 500;
}

/** An error as OpenAI's API words it. */
function body(code: string, message: string) {
	return { error: { message, type: "invalid_request_error", code } };
}
