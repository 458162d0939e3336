// Broker, store and agents with their processes, for tests of agents.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	FolderStore,
	newKey,
	type PrivateKey,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { createLog } from "@wattvox/core";
import {
	Broker,
	publish,
	StoreServer,
	type StoreServerOptions,
} from "@wattvox/fleet";
import {
	decode,
	filter,
	Link,
	type PowerMessage,
	type Reported,
	zPowerMessage,
	zReported,
} from "@wattvox/link";
import { BASE_MEL } from "@wattvox/speech";
import { type Golden, makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import type { ExecutionContext } from "ava";
import { Agent } from "./agent.ts";
import type { AgentOptions } from "./options.ts";

// A tiny voice on a busy machine is no measure of speed.
const limits = { realTimeFactor: 1000 };

interface FleetOptions {
	/** What its store server has beside the store itself. */
	server?: (store: FolderStore) => Partial<StoreServerOptions>;
	/** Whom devices trust beside the release key. */
	others?: readonly PrivateKey[];
	/** What its agents have by default. */
	agents?: Partial<AgentOptions>;
}

/** Broker, store and room for devices; one release key. */
export async function fleet(t: ExecutionContext, options: FleetOptions = {}) {
	t.timeout(600_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-agent-"));
	const broker = await Broker.start({ port: 0 });
	const store = new FolderStore(join(dir, "store"));
	const { url } = broker;
	const server = new StoreServer({
		...{ source: store, broker: { url } },
		...options.server?.(store),
	});
	await server.start();
	const key = newKey();
	const trusting = (...more: readonly PrivateKey[]) =>
		trustKeys(
			[key, ...(options.others ?? []), ...more].map((k) => k.publicKey),
		);
	const trust = trusting();
	const ends: (() => Promise<unknown>)[] = [
		() => rm(dir, { recursive: true, force: true }),
		() => broker.stop(),
		() => server.stop(),
	];
	t.teardown(async () => {
		for (const end of ends.reverse()) await end();
	});
	let revision = 0;
	return {
		...{ dir, url, broker, server, store, key, trust, ends },
		/** Writes a bundle; its golden sentences are spoken by itself unless they are given. */
		async bundle(
			name: string,
			options: { seed?: number; adapterSeed?: number } = {},
			golden?: Golden | null,
			by: PrivateKey = key,
		) {
			const files = tinyVoice({ name, ...options });
			const sentences =
				golden === undefined ? await goldenOf(files) : (golden ?? undefined);
			const path = join(dir, `bundle-${name}`);
			const { digest } = await writeBundle(
				path,
				tinyBundle.sources(files, sentences),
				tinyBundle.meta(name),
				by,
			);
			return { path, digest };
		},
		publish: (
			path: string,
			by: PrivateKey = key,
			devices: readonly string[] = ["d1"],
		) =>
			publish(path, store, {
				...{ fleet: "f", devices, key: by, trust: trusting(by) },
				broker: { url },
				revision: ++revision,
			}),
		async agent(own: Partial<AgentOptions> = {}) {
			const { device = "d1" } = own;
			const agent = new Agent({
				broker: { url, reconnectMs: { base: 20, max: 100 } },
				...{ fleet: "f", device, dataDir: join(dir, device) },
				...{ trust, port: 0, limits },
				retryMs: { base: 50, max: 200 },
				log: createLog("agent", { level: "silent" }),
				...options.agents,
				...own,
			});
			await agent.start();
			ends.push(() => agent.stop());
			return agent;
		},
	};
}

export async function goldenOf(files: Parameters<typeof Voice.load>[0]) {
	const voice = await Voice.load(files);
	try {
		return await makeGolden(voice, ["All is well."], BASE_MEL);
	} finally {
		await voice.dispose();
	}
}

export async function say(
	agent: Agent,
	input = "Good morning.",
	voice?: string,
) {
	const reply = await fetch(`${agent.url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input, voice }),
	});
	const bytes = new Uint8Array(await reply.arrayBuffer());
	return {
		status: reply.status,
		bundle: reply.headers.get("x-wattvox-bundle"),
		bytes,
	};
}

/** Waits for a reported state. */
export async function reported(
	agent: Agent,
	met: (r: Reported) => boolean,
): Promise<Reported> {
	for (;;) {
		const now = agent.status().reported;
		if (met(now)) return now;
		await new Promise((resolve) => agent.once("reported", resolve));
	}
}

/** What a device publishes, as the fleet hears it. */
export async function listen(url: string, ends: (() => Promise<unknown>)[]) {
	const link = new Link({
		...{ url, clientId: "listener", connectTimeoutMs: 60_000 },
	});
	const power: PowerMessage[] = [];
	const states: Reported[] = [];
	let heard: () => void = () => undefined;
	await link.subscribe(filter("power"), (_, payload) => {
		const message = decode(zPowerMessage, payload);
		if (message) power.push(message);
		heard();
	});
	await link.subscribe(filter("reported"), (_, payload) => {
		const message = decode(zReported, payload);
		if (message) states.push(message);
		heard();
	});
	await link.start();
	ends.push(() => link.stop());
	const until = async (met: () => boolean) => {
		while (!met())
			await new Promise<void>((resolve) => {
				heard = resolve;
			});
	};
	return { power, states, until };
}
