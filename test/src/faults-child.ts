// One process of the fault campaign: a broker, a store's server, or a device's agent. Its parent tells
// it over IPC what is to go wrong inside it.
import { FolderStore, RootTrust } from "@wattvox/bundle";
import { createLog } from "@wattvox/core";
import { type DeviceEvent, Journal } from "./faults-journal.ts";
import type { Role } from "./faults-roles.ts";
import { tapAnswers, tapAsks, tapDisk } from "./faults-taps.ts";

const role = JSON.parse(process.argv[2] ?? "{}") as Role;
const tell = (message: object) => process.send?.(message, () => undefined);
process.on("disconnect", () => process.exit(0));
if (!process.connected) process.exit(0);
process.on("SIGINT", () => undefined);

/** What the parent sets. */
const faults = { clockMs: 0, full: false, corrupt: 0 };
process.on("message", (message: Partial<typeof faults>) => {
	Object.assign(faults, message);
});

/** A clock that jumps, for this whole process. */
function bendClock(): void {
	const now = Date.now;
	Date.now = () => now() + faults.clockMs;
}

/** Writes down what the device says of blocks that it asks for again. */
function heard(line: string, journal: Journal<DeviceEvent>): void {
	const said = JSON.parse(line);
	if (said.msg !== "blocks are asked for again") return;
	const { pull, why, blocks } = said;
	journal.write({ is: "again", pull, why, blocks });
}

switch (role.kind) {
	case "broker": {
		const { Broker } = await import("@wattvox/fleet");
		const broker = await Broker.start({ port: role.port, dataDir: role.dir });
		tell({ ready: broker.port });
		break;
	}
	case "store": {
		const { StoreServer } = await import("@wattvox/fleet");
		const store = new FolderStore(role.dir);
		const damaged = new Set<string>();
		tapAnswers(new Journal(role.journal), (file, block) =>
			damaged.delete(`${file} ${block}`),
		);
		const server = new StoreServer({
			broker: { url: role.url, reconnectMs: { base: 50, max: 200 } },
			source: {
				readManifest: (digest) => store.readManifest(digest),
				async readBlock(sha256, index) {
					const block = await store.readBlock(sha256, index);
					if (!block) return undefined;
					if (faults.corrupt <= 0) return block;
					faults.corrupt--;
					damaged.add(`${sha256} ${index}`);
					const bad = Buffer.from(block);
					bad[0] = (bad[0] ?? 0) ^ 0xff;
					return bad;
				},
			},
		});
		await server.start();
		tell({ ready: 0 });
		break;
	}
	case "agent": {
		bendClock();
		const journal = new Journal<DeviceEvent>(role.journal);
		tapDisk(role.dir, journal, () => faults.full);
		tapAsks(journal);
		const { Agent } = await import("@wattvox/device-agent");
		const agent = new Agent({
			broker: { url: role.url, reconnectMs: { base: 50, max: 300 } },
			fleet: "f",
			device: "d1",
			dataDir: role.dir,
			trust: RootTrust.open(Buffer.from(role.roots, "base64")),
			port: role.port,
			// a tiny voice on a busy machine is no measure of speed
			limits: { realTimeFactor: 1000 },
			retryMs: { base: 50, max: 400 },
			log: createLog("agent", {
				level: "info",
				to: { write: (line: string) => heard(line, journal) },
			}),
		});
		agent.on("reported", (reported) =>
			tell({ reported, speaker: agent.status().speaker }),
		);
		await agent.start();
		tell({ ready: role.port, speaker: agent.status().speaker });
		break;
	}
}
