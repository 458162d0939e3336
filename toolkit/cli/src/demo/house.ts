import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { FolderStore, PrivateKey } from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import type { Agent } from "@wattvox/device-agent";
import type { PowerTable } from "@wattvox/fleet";

/** The demonstration's fleet and its only device. */
export const FLEET = "demo";
export const DEVICE = "this-machine";

/** Broker, store, collector and one device, all on this machine. */
export interface House {
	store: FolderStore;
	brokerUrl: string;
	agent: Agent;
	/** Ends all of it and says what the device reported. Idempotent. */
	stop(): Promise<PowerTable>;
}

/**
 * Opens the house: everything listens on loopback, on ports that are free.
 * @param dir where store, device and totals are kept
 * @param key the fleet's; the device trusts it alone
 * @throws WattvoxError E_BROKER, E_BUSY, E_OUTPUT; the signal's reason
 */
export async function openHouse(
	dir: string,
	key: PrivateKey,
	signal: AbortSignal,
): Promise<House> {
	const [bundle, fleet, { Link }, { Agent }] = await Promise.all([
		import("@wattvox/bundle"),
		import("@wattvox/fleet"),
		import("@wattvox/link"),
		import("@wattvox/device-agent"),
	]);
	await mkdir(dir, { recursive: true });
	let table: PowerTable | undefined;
	const stops: (() => Promise<void>)[] = [];
	const closeAll = async () => {
		for (let stop = stops.pop(); stop; stop = stops.pop()) await stop();
	};
	try {
		const broker = await fleet.Broker.start({ port: 0 });
		stops.push(() => broker.stop());
		const { url } = broker;
		const store = new bundle.FolderStore(join(dir, "store"));
		const server = new fleet.StoreServer({ source: store, broker: { url } });
		await server.start(signal);
		stops.push(() => server.stop());
		const link = new Link({ url, clientId: "collector" });
		await link.start(signal);
		stops.push(() => link.stop());
		const power = fleet.powerStore(dir);
		await power.start(signal);
		stops.push(() => power.stop());
		const collector = new fleet.Collector({ link, store: power });
		await collector.start(signal);
		stops.push(async () => {
			await collector.stop();
			table = await fleet.powerTable(power);
		});
		const agent = new Agent({
			broker: { url },
			fleet: FLEET,
			device: DEVICE,
			dataDir: join(dir, "device"),
			trust: bundle.trustKeys([key.publicKey]),
			port: 0,
			// nobody listens while it speaks here: slow is reported, not refused
			limits: { realTimeFactor: 4 },
		});
		await agent.start(signal);
		stops.push(() => agent.stop());
		return {
			store,
			brokerUrl: url,
			agent,
			async stop() {
				await closeAll();
				if (!table) throw new WattvoxError("E_BUG", "no bill was made");
				return table;
			},
		};
	} catch (thrown) {
		await closeAll();
		throw thrown;
	}
}
