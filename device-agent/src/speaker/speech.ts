import { once } from "node:events";
import { Readable } from "node:stream";
import { asWattvoxError } from "@wattvox/core";
import { syntheticTag, type Utterance, type Voice } from "@wattvox/synth";
import type { FastifyReply } from "fastify";
import { z } from "zod";
import { refuse } from "./answers.ts";
import type { Counters } from "./counters.ts";
import type { FromSpeaker } from "./messages.ts";
import { type PlayOptions, play } from "./playback.ts";
import type { Player } from "./player.ts";
import type { Turns } from "./turns.ts";
import type { Use, VoiceChoice } from "./voice-choice.ts";
import { pcm16, wavStreamHeader } from "./wav-stream.ts";

/** The body of OpenAI's speech endpoint, as far as a device can serve it. */
export const zSpeech = z.object({
	/** Any: the voice says it all. */
	model: z.string().max(100).optional(),
	input: z.string().min(1).max(20_000),
	/** A voice's name or its bundle's digest; "default" is the one that is active. */
	voice: z.string().max(100).optional(),
	response_format: z.enum(["wav", "pcm"]).default("wav"),
	speed: z.number().min(0.25).max(4).default(1),
});
export type Wanted = z.infer<typeof zSpeech>;

/** A listener that takes nothing for this long is cut off: others wait for their turn behind it. */
const STALL_MS = 60_000;

export interface SpeechOptions {
	voices: VoiceChoice;
	turns: Turns;
	counters: Counters;
	player: () => Player;
	stuckMs: PlayOptions["stuckMs"];
	onEvent: (event: Extract<FromSpeaker, { kind: "begin" | "end" }>) => void;
}

/**
 * Speaks: to a listener or from the device itself.
 *
 * INVARIANTS
 * - One utterance is computed at a time. Who waits for a voice to be loaded waits outside the row, so
 *   that nobody else waits for that.
 * - What began is told to have ended, in the voice that spoke.
 */
export class Speech {
	readonly #o: SpeechOptions;
	#next = 0;

	constructor(options: SpeechOptions) {
		this.#o = options;
	}

	/** Answers with the sound, streamed; with an error where there is none. */
	async speak(
		wanted: Wanted,
		reply: FastifyReply,
		signal: AbortSignal,
	): Promise<FastifyReply> {
		const { use, give } = await this.#turn(wanted, signal);
		// Headers wait for the first samples: until then an error can still be said properly.
		return new Promise<FastifyReply>((answered, failed) => {
			use(async (voice, digest) => {
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
		}).catch((thrown) => refuse(reply, asWattvoxError(thrown), this.#o.voices));
	}

	/** Speaks from the device itself; answers when all of it was heard. Others wait for their turn meanwhile. */
	async play(
		wanted: Wanted,
		reply: FastifyReply,
		signal: AbortSignal,
	): Promise<FastifyReply> {
		const { use, give } = await this.#turn(wanted, signal);
		try {
			return await use(async (voice, digest) => {
				const utterance = begin(voice, wanted, signal);
				const player = this.#o.player();
				let played: Awaited<ReturnType<typeof play>> | undefined;
				await this.#account(utterance, digest, async () => {
					played = await play(utterance, {
						player,
						rate: utterance.sampleRate,
						signal,
						stuckMs: this.#o.stuckMs,
					});
					this.#o.counters.played(played);
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
			return refuse(reply, asWattvoxError(thrown), this.#o.voices);
		} finally {
			await give();
		}
	}

	/**
	 * Waits for the voice that is asked for and then for the turn, and tries again where another became the
	 * active one meanwhile.
	 */
	async #turn(
		{ voice }: Wanted,
		signal: AbortSignal,
	): Promise<{ use: Use; give: () => Promise<void> }> {
		const { voices, turns } = this.#o;
		for (;;) {
			const lease = await voices.reserve(voice, signal);
			const pass = await turns.take(signal).catch(async (thrown) => {
				await lease?.give();
				throw thrown;
			});
			const give = async () => {
				pass();
				await lease?.give();
			};
			try {
				if (lease || voices.find(voice) === null)
					return { use: voices.use(lease), give };
			} catch (thrown) {
				await give();
				throw thrown;
			}
			await give();
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
		const { onEvent, counters } = this.#o;
		onEvent({ kind: "begin", id, digest });
		let whole = false;
		try {
			whole = await speak();
		} finally {
			const { audioSeconds, computeMs, firstSoundMs } = utterance.stats;
			counters.spoke(utterance.stats, whole, digest);
			onEvent({
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

function begin(
	voice: Voice,
	{ input, speed }: Wanted,
	signal: AbortSignal,
): Utterance {
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
