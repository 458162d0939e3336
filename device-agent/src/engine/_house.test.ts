// A fleet's house for tests: a real broker, a store, voices with golden sentences, and agents with the
// stand-in for TensorRT.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
	type BlockSource,
	FolderStore,
	newKey,
	trustKeys,
	writeBundle,
} from "@wattvox/bundle";
import { createLog } from "@wattvox/core";
import { Broker, publish, StoreServer } from "@wattvox/fleet";
import type { Reported, Verdict } from "@wattvox/link";
import { type Lie, standIn } from "@wattvox/runtime/testing";
import { BASE_MEL } from "@wattvox/speech";
import { makeGolden, Voice } from "@wattvox/synth";
import { tinyBundle, tinyVoice } from "@wattvox/synth/testing";
import type { ExecutionContext } from "ava";
import { Agent } from "../agent.ts";
import type { AgentOptions } from "../options.ts";
import { EngineCache } from "./engine-cache.ts";

export async function house(t: ExecutionContext, ...lies: Lie[]) {
	t.timeout(600_000);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-agent-engine-"));
	const broker = await Broker.start({ port: 0 });
	const store = new FolderStore(join(dir, "store"));
	const [key, builder] = [newKey(), newKey()];
	const trust = trustKeys([key.publicKey, builder.publicKey]);
	const verdicts: Verdict[] = [];
	let heard = () => {};
	/** Blocks on their way out, by digest and index; a test may change them. */
	const tap: { change?: (sha256: string, block: Buffer) => Buffer } = {};
	const source: BlockSource = {
		readManifest: (digest) => store.readManifest(digest),
		readEngine: (name) => store.readEngine(name),
		async readBlock(sha256, index) {
			const block = await store.readBlock(sha256, index);
			return block && (tap.change?.(sha256, Buffer.from(block)) ?? block);
		},
	};
	const server = new StoreServer({
		source,
		broker: { url: broker.url },
		engines: {
			shelf: store.engines,
			trust: async () => trust,
			onOffer(_, said) {
				verdicts.push(said);
				heard();
			},
		},
	});
	await server.start();
	const shim = await standIn(...lies);
	const ends: (() => Promise<unknown>)[] = [
		() => rm(dir, { recursive: true, force: true }),
		() => broker.stop(),
		() => server.stop(),
	];
	t.teardown(async () => {
		for (const end of ends.reverse()) await end();
	});
	let revision = 0;
	const cacheOf = (device: string) =>
		new EngineCache(join(dir, device, "engines"));
	return {
		...{ shim, store, builder, key, tap, verdicts },
		cache: cacheOf("d1"),
		cacheOf,
		/** What became of the offer that comes next, or came. */
		async verdict(nth = 0): Promise<Verdict> {
			for (;;) {
				const said = verdicts[nth];
				if (said) return said;
				await new Promise<void>((resolve) => {
					heard = resolve;
				});
			}
		},
		async voice(name: string, adapterSeed?: number, devices = ["d1"]) {
			const files = tinyVoice({
				name,
				...(adapterSeed !== undefined && { adapterSeed }),
			});
			const voice = await Voice.load(files);
			const golden = await makeGolden(voice, ["All is well."], BASE_MEL);
			await voice.dispose();
			const path = join(dir, `bundle-${name}`);
			const { digest } = await writeBundle(
				path,
				tinyBundle.sources(files, golden),
				tinyBundle.meta(name),
				key,
			);
			await publish(path, store, {
				fleet: "f",
				devices,
				key,
				trust,
				broker: { url: broker.url },
				revision: ++revision,
			});
			return digest;
		},
		async agent(options: Partial<AgentOptions> = {}) {
			const { device = "d1" } = options;
			const agent = new Agent({
				broker: { url: broker.url, reconnectMs: { base: 20, max: 100 } },
				fleet: "f",
				device,
				dataDir: join(dir, device),
				trust,
				port: 0,
				limits: { realTimeFactor: 1000 },
				retryMs: { base: 50, max: 200 },
				log: createLog("agent", { level: "silent" }),
				engine: { shim, precision: "fp32" },
				...options,
			});
			await agent.start();
			ends.push(() => agent.stop());
			return agent;
		},
	};
}

export async function say(agent: Agent) {
	const reply = await fetch(`${agent.url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: "Good morning.", response_format: "pcm" }),
	});
	const bundle = reply.headers.get("x-wattvox-bundle");
	const pcm = new Int16Array(await reply.arrayBuffer());
	return { status: reply.status, bundle, pcm };
}

export async function until(
	agent: Agent,
	met: (r: Reported) => boolean,
): Promise<Reported> {
	for (;;) {
		const now = agent.status().reported;
		if (met(now)) return now;
		await new Promise((resolve) => agent.once("reported", resolve));
	}
}

export const byTensorrt = (bundle: string) => (r: Reported) =>
	r.bundle === bundle && r.runtime?.name === "tensorrt";
export const refused = (bundle: string) => (r: Reported) =>
	r.bundle === bundle && r.runtime?.reason !== undefined;
