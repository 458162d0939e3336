// A device of the rollout's test: the agent as a device runs it, but for the golden sentences' limits of
// time, which a busy machine would not keep.
import { loadTrust } from "@wattvox/bundle";
import { createLog } from "@wattvox/core";
import { Agent } from "@wattvox/device-agent";

const [
	broker = "",
	fleet = "",
	device = "",
	dataDir = "",
	key = "",
	hostRoot = "",
] = process.argv.slice(2);
const agent = new Agent({
	broker: { url: broker, reconnectMs: { base: 50, max: 500 } },
	...{ fleet, device, dataDir, hostRoot, port: 0 },
	trust: await loadTrust([key]),
	limits: { realTimeFactor: 1000, firstSoundMs: 1e6 },
	powerEveryMs: 1000,
	// the devices share one machine here: its workloads would measure each other
	joules: { open: () => Promise.reject(new Error("not on a shared machine")) },
	log: createLog("agent", { level: "silent" }),
});
process.on("SIGTERM", () => void agent.stop().then(() => process.exit(0)));
process.on("disconnect", () => process.exit(1));
await agent.start();
process.send?.(agent.url);
