// The speaker process: holds the voice and serves the speech API. Started by SpeakerProcess with an
// IPC channel; it ends with its agent. Nothing is built, refitted or tried in it: an engine that it opens is a
// finished file that a trial elsewhere has survived.
import { asWattvoxError } from "@wattvox/core";
import type { Reason } from "../planner.ts";
import { loadVoice } from "./load-voice.ts";
import {
	type FromSpeaker,
	runtimeOf,
	type SpeakerConfig,
	type ToSpeaker,
	type VerifiedVoice,
	type VoiceAt,
} from "./messages.ts";
import { choosePlayer } from "./player.ts";
import { SpeechServer } from "./server.ts";
import { SharedVoice } from "./shared-voice.ts";
import { VoiceShelf } from "./voice-shelf.ts";
import { VoiceSlot } from "./voice-slot.ts";
import { WantedVoices } from "./wanted-voices.ts";

const config: SpeakerConfig = JSON.parse(process.argv[2] ?? "{}");
const slot = new VoiceSlot();
const tell = (message: FromSpeaker) => {
	if (process.connected) process.send?.(message, () => undefined);
};

/** Why the loaded voice does not speak by the engine that it was asked to. */
let trouble: Reason | undefined;

const wanted = new WantedVoices(tell);
const shelf = new VoiceShelf({
	...config.aside,
	available: () => process.availableMemory(),
	maxWaiting: config.maxWaiting,
	async prepare(digest) {
		const voice = await wanted.verified(digest);
		// whose engine does not open speaks on ONNX Runtime: there has to be room for either
		const bytes = Math.max(...Object.values(voice.memory));
		return { bytes, load: () => loadAside(voice) };
	},
	onChange: () =>
		tell({ kind: "aside", loaded: shelf.loaded, loading: shelf.loading }),
});

/** Loads a voice; should its thread die, this process ends: its agent starts another, which loads it anew. */
const load = (at: VoiceAt) =>
	loadVoice(at, {
		...config,
		onDeath({ code, message }) {
			process.stderr.write(`${code}: ${message}\n`);
			process.exit(1);
		},
	});

/** A voice beside the active one falls back as that one does; the agent hears why. */
async function loadAside(at: VerifiedVoice) {
	const { voice, runtime, trouble } = await load(at);
	const { digest, memory, engine } = at;
	if (engine && trouble)
		tell({ kind: "engine-trouble", digest, engine: engine.id, ...trouble });
	return {
		voice,
		engine: runtime === "tensorrt" && engine ? engine.id : null,
		bytes: memory[runtime] ?? memory.onnxruntime,
	};
}

async function become(at: VoiceAt, ask: number): Promise<void> {
	const { digest } = at;
	const engine = at.engine?.id ?? null;
	try {
		await slot.swap(
			digest,
			async () => {
				const here = shelf.take(digest, engine);
				if (here) {
					trouble = undefined;
					return here;
				}
				const loaded = await load(at);
				trouble = loaded.trouble;
				return new SharedVoice(loaded.voice, digest, trouble ? null : engine);
			},
			engine,
		);
		// now: while a copy is freed, the next may come and be spoken by another runtime
		const how = {
			runtime: runtimeOf(slot.engine),
			...(trouble && { trouble }),
		};
		// a copy of it that speaks otherwise is not needed any more
		await shelf.take(digest)?.retire();
		tell({ kind: "loaded", ask, digest, engine, ...how });
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		tell({ kind: "not-loaded", ask, digest, code, message });
	}
}

let stopping = false;
async function stop(): Promise<void> {
	if (stopping) return;
	stopping = true;
	// an agent that is gone answers nobody, and who waits for it would keep this process
	wanted.end();
	await server.stop();
	await shelf.close();
	await slot.close();
	process.exit(0);
}

const server = new SpeechServer({
	slot,
	shelf,
	port: config.port,
	maxWaiting: config.maxWaiting,
	player: () => choosePlayer(config.playback),
	onEvent: tell,
});
process.on("message", (message: ToSpeaker) => {
	switch (message.kind) {
		case "swap":
			void become(message, message.ask);
			break;
		case "offers":
			void server.voices.offer(message.offers);
			break;
		case "verified":
		case "refused":
			wanted.heard(message);
			break;
		case "stop":
			void stop();
			break;
		default:
			message satisfies never;
	}
});
process.on("disconnect", () => void stop());
// An agent that was killed while this loaded its modules was not heard going: without this its speaker
// would keep the port, and no agent after it could start.
if (!process.connected) process.exit(0);
// Ctrl-C reaches the whole process group; the agent decides when the speaker ends.
process.on("SIGINT", () => undefined);

void server.voices.offer(config.offers);
try {
	tell({ kind: "listening", port: await server.start() });
} catch (thrown) {
	tell({
		kind: "no-port",
		message: `the speech API cannot listen on port ${config.port}: ${asWattvoxError(thrown).message}`,
	});
	process.disconnect();
}
if (config.voice) await become(config.voice, config.ask);
