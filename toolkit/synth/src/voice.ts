import { WattvoxError } from "@wattvox/core";
import {
	awaken,
	createEngine,
	type Engine,
	type EngineHost,
	give,
	type Tensor,
	tensor,
} from "@wattvox/runtime";
import {
	type Frontend,
	languageFrontend,
	type SpokenSentence,
} from "./frontend.ts";
import { mergedGraphs } from "./merge.ts";
import { durations, Regulator, type Window } from "./regulate.ts";
import { type SpeakOptions, Utterance } from "./utterance.ts";
import type { VoiceConfig } from "./voice-config.ts";
import { readVoiceFiles, type VoiceFiles } from "./voice-files.ts";

export interface LoadOptions {
	/** Threads inside one operator. Default 1. */
	threads?: number;
	/** The thread in which the engines live; shared with the process's others by default. */
	host?: EngineHost;
	/** Text to phones; by default the language's own. */
	frontend?: Frontend;
	/** How an engine is made; ONNX Runtime by default. */
	engine?: (
		model: Uint8Array,
		options: { part: "text" | "decoder"; signal?: AbortSignal | undefined },
	) => Promise<Engine>;
	/**
	 * The decoder, ready made: it has the voice's weights already and runs on `chunk + 2 * halo` frames. The
	 * voice's own decoder graph is not loaded then. The voice frees it, also when loading fails.
	 */
	decoder?: Engine;
	/**
	 * Merge the adapter in this thread instead of one of its own: quicker, but nothing else happens in it
	 * for a tenth of a second. Default false.
	 */
	mergeHere?: boolean;
	/** Run both graphs once, so that the first sentence is not slower than the second. Default true. */
	warmUp?: boolean;
	signal?: AbortSignal | undefined;
}

/** Sentence edges are faded over this long, so that no join clicks. */
const FADE_SECONDS = 0.005;

/**
 * A loaded voice: text in, samples out.
 *
 * INVARIANTS
 * - Speaking in chunks gives the samples of speaking whole: a chunk run sees `halo` frames beyond
 *   its ends, and a frame's noise depends on the seed and its number alone.
 * - The decoder always runs on `chunk + 2 * halo` frames, so the first sound does not wait for the
 *   rest of the sentence.
 */
export class Voice {
	readonly config: VoiceConfig;
	readonly #text: Engine;
	readonly #decoder: Engine;
	readonly #frontend: Frontend;
	readonly #symbols: Map<string, bigint>;
	readonly #speaker: Float32Array;

	private constructor(
		config: VoiceConfig,
		engines: { text: Engine; decoder: Engine },
		frontend: Frontend,
	) {
		this.config = config;
		this.#text = engines.text;
		this.#decoder = engines.decoder;
		this.#frontend = frontend;
		this.#symbols = new Map(config.symbols.map((s, i) => [s, BigInt(i)]));
		this.#speaker = Float32Array.from(config.speaker);
	}

	/**
	 * Loads a voice from a bundle's folder or from files in memory, and merges its adapter.
	 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT, E_MODEL (graphs or adapter do not fit),
	 *   E_MEMORY, E_INTERRUPTED
	 */
	static async load(
		source: string | VoiceFiles,
		options: LoadOptions = {},
	): Promise<Voice> {
		const { signal, threads = 1, host } = options;
		let { decoder } = options;
		// The engines' thread starts while the adapter is merged, and stays until it has an engine.
		const idle = options.engine ? undefined : awaken(host);
		try {
			// What is read here is ours to move; what the caller holds is only lent.
			const owned = typeof source === "string";
			const files = owned ? await readVoiceFiles(source) : source;
			const frontend =
				options.frontend ?? languageFrontend(files.config.language);
			const graphs = await mergedGraphs(files, {
				owned,
				here: options.mergeHere,
				signal,
			});
			const make: NonNullable<LoadOptions["engine"]> =
				options.engine ??
				((model) =>
					createEngine(graphs.owned ? { given: model } : model, {
						threads,
						signal,
						...(host && { host }),
					}));
			const text = await make(graphs.text, { part: "text", signal });
			try {
				decoder ??= await make(graphs.decoder, { part: "decoder", signal });
				const voice = new Voice(files.config, { text, decoder }, frontend);
				if (options.warmUp ?? true) await voice.#warmUp(signal);
				return voice;
			} catch (thrown) {
				await text.dispose();
				throw thrown;
			}
		} catch (thrown) {
			await decoder?.dispose();
			throw thrown;
		} finally {
			await idle?.();
		}
	}

	/**
	 * Speaks. Nothing is computed before the utterance is iterated.
	 * While iterating: WattvoxError E_TEXT_EMPTY, E_TEXT_UNPRONOUNCEABLE, E_MODEL, E_INTERRUPTED
	 * @throws WattvoxError E_USAGE when the speed is out of range
	 */
	speak(text: string, options: SpeakOptions = {}): Utterance {
		const { speed = 1, seed = 1, pauseMs = 120, signal } = options;
		if (!(speed >= 0.25 && speed <= 4))
			throw new WattvoxError("E_USAGE", `speed ${speed} is not in 0.25 to 4`);
		return new Utterance(
			{
				sampleRate: this.config.sampleRate,
				sentences: this.#frontend(text),
				say: async (sentence, index, signal) => {
					const phones = this.#phones(sentence);
					const regulator = await this.#regulate(phones, {
						speed,
						// Each sentence its own noise, each utterance the same again.
						seed: (seed + Math.imul(index, 0x9e3779b9)) >>> 0,
						signal,
					});
					const chunk = options.whole ? regulator.length : this.config.chunk;
					const count = Math.ceil(regulator.length / chunk);
					return Array.from(
						{ length: count },
						(_, i) => () => this.#decode(regulator, i * chunk, chunk, signal),
					);
				},
			},
			{ pauseMs, signal },
		);
	}

	/** Frees both engines; utterances under way fail with E_INTERRUPTED. Idempotent. */
	async dispose(): Promise<void> {
		await Promise.all([this.#text.dispose(), this.#decoder.dispose()]);
	}

	#phones({ phones, text }: SpokenSentence): BigInt64Array {
		return BigInt64Array.from(phones, (p) => {
			const id = this.#symbols.get(p);
			if (id === undefined)
				throw new WattvoxError(
					"E_MODEL",
					`voice ${this.config.name} has no symbol "${p}" (in ${JSON.stringify(text.slice(0, 60))})`,
				);
			return id;
		});
	}

	async #regulate(
		phones: BigInt64Array,
		options: { speed: number; seed: number; signal?: AbortSignal | undefined },
	): Promise<Regulator> {
		const { contentDim, noiseDim, noiseScale } = this.config;
		const n = phones.length;
		const out = await this.#text.run(
			{
				phones: give(tensor("int64", [1, n], phones)),
				speaker: this.#speakerTensor(),
			},
			{ signal: options.signal },
		);
		return new Regulator({
			content: floats(out.content, n * contentDim, "content"),
			contentDim,
			frames: durations(
				floats(out.log_duration, n, "log_duration"),
				options.speed,
			),
			noiseDim,
			noiseScale,
			seed: options.seed,
		});
	}

	/** Samples of frames `from` to `from + count`, clipped to the utterance's end. */
	async #decode(
		regulator: Regulator,
		from: number,
		count: number,
		signal: AbortSignal | undefined,
	): Promise<Float32Array> {
		const { halo, hop } = this.config;
		const rows = count + 2 * halo;
		const wave = await this.#wave(
			regulator.window(from - halo, rows),
			rows,
			signal,
		);
		const kept = Math.min(count, regulator.length - from);
		const samples = wave.slice(halo * hop, (halo + kept) * hop);
		this.#finish(samples, from * hop, regulator.length * hop);
		return samples;
	}

	async #wave(
		window: Window,
		rows: number,
		signal: AbortSignal | undefined,
	): Promise<Float32Array> {
		const { contentDim, noiseDim, hop } = this.config;
		const out = await this.#decoder.run(
			{
				content: give(tensor("float32", [1, rows, contentDim], window.content)),
				position: give(tensor("float32", [1, rows, 3], window.position)),
				noise: give(tensor("float32", [1, rows, noiseDim], window.noise)),
				speaker: this.#speakerTensor(),
			},
			{ signal },
		);
		return floats(out.wave, rows * hop, "wave");
	}

	/** Fades the sentence's edges and refuses samples that are no numbers. */
	#finish(samples: Float32Array, at: number, length: number): void {
		const fade = Math.round(this.config.sampleRate * FADE_SECONDS);
		const fadeAt = (i: number) => {
			const edge = Math.min(at + i, length - 1 - at - i);
			if (edge < fade) samples[i] = ((samples[i] ?? 0) * (edge + 0.5)) / fade;
		};
		const head = Math.max(0, Math.min(samples.length, fade - at));
		const tail = Math.max(head, length - fade - at);
		for (let i = 0; i < head; i++) fadeAt(i);
		for (let i = tail; i < samples.length; i++) fadeAt(i);
		let sum = 0;
		for (let i = 0; i < samples.length; i++) {
			const s = samples[i] ?? 0;
			sum += s;
			samples[i] = Math.max(-1, Math.min(1, s));
		}
		// One sample that is no number makes the sum none.
		if (!Number.isFinite(sum))
			throw new WattvoxError(
				"E_MODEL",
				`voice ${this.config.name} makes samples that are not numbers`,
			);
	}

	#speakerTensor(): Tensor {
		return tensor("float32", [1, this.config.speakerDim], this.#speaker);
	}

	async #warmUp(signal: AbortSignal | undefined): Promise<void> {
		// Dictionaries are read at first use.
		for await (const _ of this.#frontend("Ready.")) break;
		const regulator = await this.#regulate(BigInt64Array.of(1n, 1n), {
			speed: 1,
			seed: 0,
			signal,
		});
		await this.#decode(regulator, 0, this.config.chunk, signal);
	}
}

function floats(
	t: Tensor | undefined,
	length: number,
	what: string,
): Float32Array {
	if (t?.data instanceof Float32Array && t.data.length === length)
		return t.data;
	throw new WattvoxError(
		"E_MODEL",
		`the output ${what} should be ${length} floats, not ${t ? `${t.dtype} [${t.dims}]` : "missing"}`,
	);
}
