// The speaker process: holds the voice and serves the speech API. Started by SpeakerProcess with an
// IPC channel; it ends with its agent.
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
import { VoiceSlot } from "./voice-slot.ts";

const config: SpeakerConfig = JSON.parse(process.argv[2] ?? "{}");
const slot = new VoiceSlot();
const tell = (message: FromSpeaker) => {
	if (process.connected) process.send?.(message, () => undefined);
};

/** By which runtime the loaded voice speaks, and why not by the one it was asked to. */
let spoken: { runtime: Runtime; trouble?: Reason } = { runtime: "onnxruntime" };

async function load(at: VoiceAt): Promise<void> {
	const { digest } = at;
	const engine = at.engine?.id ?? null;
	try {
		await slot.swap(
			digest,
			async () => {
				const { voice, ...how } = await loadVoice(at, config);
				spoken = how;
				return voice;
			},
			engine,
		);
		tell({ kind: "loaded", digest, engine, ...spoken });
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		tell({ kind: "not-loaded", digest, code, message });
	}
}

let stopping = false;
async function stop(): Promise<void> {
	if (stopping) return;
	stopping = true;
	await server.stop();
	await slot.close();
	process.exit(0);
}

const server = new SpeechServer({
	slot,
	port: config.port,
	maxWaiting: config.maxWaiting,
	player: () => choosePlayer(config.playback),
	onEvent: tell,
});
process.on("message", (message: ToSpeaker) => {
	if (message.kind === "swap") void load(message);
	else void stop();
});
process.on("disconnect", () => void stop());
// An agent that was killed while this loaded its modules was not heard going: without this its speaker
// would keep the port, and no agent after it could start.
if (!process.connected) process.exit(0);
// Ctrl-C reaches the whole process group; the agent decides when the speaker ends.
process.on("SIGINT", () => undefined);

try {
	tell({ kind: "listening", port: await server.start() });
} catch (thrown) {
	tell({
		kind: "no-port",
		message: `the speech API cannot listen on port ${config.port}: ${asWattvoxError(thrown).message}`,
	});
	process.disconnect();
}
if (config.voice) await load(config.voice);
