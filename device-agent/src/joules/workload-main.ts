// A voice that speaks the fixed workload, in a process of its own, so that measuring it takes nothing from
// the one that speaks. Started by openWorkload with an IPC channel; it ends with its agent.
import { asWattvoxError } from "@wattvox/core";
import { loadVoice } from "../speaker/load-voice.ts";
import type { FromWorkload, ToWorkload, WorkloadConfig } from "./workload.ts";

const config: WorkloadConfig = JSON.parse(process.argv[2] ?? "{}");
const tell = (message: FromWorkload) => {
	if (process.connected) process.send?.(message, () => undefined);
};

async function begin(): Promise<void> {
	const { voice, runtime, trouble } = await loadVoice(config.voice, config);
	if (trouble) throw new Error(trouble.message);
	process.on("message", async ({ text }: ToWorkload) => {
		try {
			const utterance = voice.speak(text, { pauseMs: 0 });
			let samples = 0;
			for await (const chunk of utterance) samples += chunk.length;
			tell({
				kind: "spoke",
				audioSeconds: samples / utterance.sampleRate,
			});
		} catch (thrown) {
			fail(thrown);
		}
	});
	tell({ kind: "ready", runtime });
}

function fail(thrown: unknown): void {
	const { code, message } = asWattvoxError(thrown);
	tell({ kind: "failed", code, message });
}

process.on("disconnect", () => process.exit(1));
// its agent may have gone while this loaded its modules
if (!process.connected) process.exit(1);
await begin().catch(fail);
