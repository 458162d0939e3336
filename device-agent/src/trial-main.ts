// A trial: loads a voice and speaks its golden sentences, in a process of its own, so that a model
// that crashes or swallows memory takes nothing with it. Started by runTrial with an IPC channel.
import { readFile, writeFile } from "node:fs/promises";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { checkGolden, GOLDEN_LIMITS, parseGolden, Voice } from "@wattvox/synth";
import type { TrialConfig, TrialMessage } from "./trial.ts";

const config: TrialConfig = JSON.parse(process.argv[2] ?? "{}");

async function attempt(): Promise<TrialMessage> {
	// When memory runs out, the kernel is to take this process and not the one that speaks.
	await writeFile("/proc/self/oom_score_adj", "1000").catch(() => undefined);
	try {
		if (!config.golden)
			throw new WattvoxError(
				"E_FILE_FORMAT",
				"the bundle has no golden sentences, so it cannot be tried",
			);
		const golden = parseGolden(await readFile(config.golden));
		const voice = await Voice.load(config.dir, {
			threads: config.threads,
			// Nobody else waits for this process's thread.
			mergeHere: true,
		});
		const limits = { ...GOLDEN_LIMITS, ...config.limits };
		const result = await checkGolden(voice, golden, limits);
		await voice.dispose();
		return { ok: true, result };
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		return { ok: false, code, message };
	}
}

process.on("disconnect", () => process.exit(1));
// its agent may have gone while this loaded its modules
if (!process.connected) process.exit(1);
const message = await attempt();
process.send?.(message, () => process.exit(0));
