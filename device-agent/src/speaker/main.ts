// The speaker process: holds the voice and serves the speech API. Started by SpeakerProcess with an
// IPC channel; it ends with its agent. Nothing is built, refitted or tried in it: an engine that it opens is a
// finished file that a trial elsewhere has survived.
import { asWattvoxError } from "@wattvox/core";
import type { Reason } from "../planner.ts";
import { loadVoice } from "./load-voice.ts";
import type {
	FromSpeaker,
	Runtime,
	SpeakerConfig,
	ToSpeaker,
	VoiceAt,
} from "./messages.ts";
import { choosePlayer } from "./player.ts";
import { SpeechServer } from "./server.ts";
import { VoiceShelf } from "./voice-shelf.ts";
import { VoiceSlot } from "./voice-slot.ts";
import { WantedVoices } from "./wanted-voices.ts";

const config: SpeakerConfig = JSON.parse(process.argv[2] ?? "{}");
const slot = new VoiceSlot();
const tell = (message: FromSpeaker) => {
	if (process.connected) process.send?.(message, () => undefined);
};

/** By which runtime the loaded voice speaks, and why not by the one it was asked to. */
let spoken: { runtime: Runtime; trouble?: Reason } = { runtime: "onnxruntime" };

const wanted = new WantedVoices(tell);
const shelf = new VoiceShelf({
	...config.aside,
	available: () => process.availableMemory(),
	maxWaiting: config.maxWaiting,
	async prepare(digest) {
		const { bytes, ...at } = await wanted.verified(digest);
		return { bytes, load: () => loadAside(at) };
	},
	onChange: () =>
		tell({ kind: "aside", loaded: shelf.loaded, loading: shelf.loading }),
});

/** A voice beside the active one falls back as that one does; the agent hears why. */
async function loadAside(at: VoiceAt) {
	const { voice, trouble } = await loadVoice(at, config);
	const engine = at.engine?.id ?? null;
	if (engine === null || !trouble) return { voice, engine };
	const { digest } = at;
	tell({ kind: "engine-trouble", digest, engine, ...trouble });
	return { voice, engine: null };
}

async function load(at: VoiceAt, ask: number): Promise<void> {
	const { digest } = at;
	const engine = at.engine?.id ?? null;
	try {
		await slot.swap(
			digest,
			async () => {
				const here = shelf.take(digest, engine);
				if (here) {
					spoken = { runtime: engine === null ? "onnxruntime" : "tensorrt" };
					return here;
				}
				const { voice, ...by } = await loadVoice(at, config);
				spoken = by;
				return voice;
			},
			engine,
		);
		// now: while a copy is freed, the next may come and be spoken by another runtime
		const how = spoken;
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
			void load(message, message.ask);
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
if (config.voice) await load(config.voice, config.ask);
