// An engine's job: finds or builds it and tries it. A process of its own, so that neither the models nor
// the golden runs take the agent's memory. Started by runEngineJob with an IPC channel.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { asWattvoxError } from "@wattvox/core";
import { type EngineKey, workshop } from "@wattvox/runtime/tensorrt";
import { EngineAbsent } from "./absent.ts";
import { EngineCache } from "./engine-cache.ts";
import type { EngineJob, EngineJobAnswer, EngineJobMessage } from "./job.ts";
import { prepareEngine } from "./prepare.ts";

const job: EngineJob = JSON.parse(process.argv[2] ?? "{}");
const stop = new AbortController();
process.on("SIGTERM", () => stop.abort());
process.on("SIGINT", () => undefined);
process.on("disconnect", () => stop.abort());
const tell = (message: EngineJobMessage) =>
	new Promise<void>((resolve) => {
		if (!process.connected) return resolve();
		process.send?.(message, undefined, {}, () => resolve());
	});

async function attempt(): Promise<EngineJobMessage> {
	// When memory runs out, the kernel is to take this process or its children, not the one that speaks.
	await writeFile("/proc/self/oom_score_adj", "1000").catch(() => undefined);
	try {
		const cache = new EngineCache(job.cache);
		const made = await prepareEngine({
			...job.wish,
			dir: job.dir,
			voice: job.voice,
			golden: job.golden,
			builders: job.builders,
			from: job.from,
			...(job.ask && { bring }),
			threads: job.threads,
			cache,
			workshop: workshop(job.shim),
			note: (line) => void tell({ kind: "note", line }),
			signal: stop.signal,
		});
		const { entry, plan, ports, gap, limitDb, fresh, realTimeFactor } = made;
		const { path, sha256, size } = plan;
		return {
			kind: "ready",
			engine: { id: entry.id, path, sha256, size, ports },
			figures: {
				fresh,
				signer: entry.origin.kind === "signed" ? entry.origin.key : null,
				errorDb: gap.errorDb,
				limitDb,
				realTimeFactor,
			},
		};
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		if (thrown instanceof EngineAbsent)
			return { kind: "absent", keys: thrown.keys, message };
		return { kind: "failed", code, message };
	}
}

/** Asks the agent for an engine from elsewhere. @throws the signal's reason */
async function bring(key: EngineKey): Promise<string | null> {
	const answer = once(process, "message", { signal: stop.signal });
	await tell({ kind: "wanted", key });
	const [{ signer }] = (await answer) as [EngineJobAnswer];
	return signer;
}

await tell(await attempt());
process.exit(0);
