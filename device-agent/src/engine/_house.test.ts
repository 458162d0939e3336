// A fleet for tests of engines: voices with golden sentences, and agents with the stand-in for TensorRT.
import { join } from "node:path";
import { type BlockSource, newKey } from "@wattvox/bundle";
import type { Reported, Verdict } from "@wattvox/link";
import { type Lie, standIn } from "@wattvox/runtime/testing";
import type { ExecutionContext } from "ava";
import { fleet, reported } from "../_agent-fleet.test.ts";
import type { Agent } from "../agent.ts";
import { EngineCache } from "./engine-cache.ts";

export async function house(t: ExecutionContext, ...lies: Lie[]) {
	const shim = await standIn(...lies);
	const builder = newKey();
	const verdicts: Verdict[] = [];
	let heard = () => {};
	/** Blocks on their way out, by digest and index; a test may change them. */
	const tap: { change?: (sha256: string, block: Buffer) => Buffer } = {};
	const f = await fleet(t, {
		others: [builder],
		agents: { engine: { shim, precision: "fp32" } },
		server: (store) => ({
			source: {
				readManifest: (digest) => store.readManifest(digest),
				readEngine: (name) => store.readEngine(name),
				async readBlock(sha256, index) {
					const block = await store.readBlock(sha256, index);
					return block && (tap.change?.(sha256, Buffer.from(block)) ?? block);
				},
			} satisfies BlockSource,
			engines: {
				shelf: store.engines,
				trust: async () => f.trust,
				onOffer(_, said) {
					verdicts.push(said);
					heard();
				},
			},
		}),
	});
	const cacheOf = (device: string) =>
		new EngineCache(join(f.dir, device, "engines"));
	return {
		...{ shim, store: f.store, builder, key: f.key, tap, verdicts },
		...{ cache: cacheOf("d1"), cacheOf, agent: f.agent },
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
		/** Publishes a voice. @returns its digest */
		async voice(name: string, adapterSeed?: number, devices = ["d1"]) {
			const { path, digest } = await f.bundle(name, {
				...(adapterSeed !== undefined && { adapterSeed }),
			});
			await f.publish(path, f.key, devices);
			return digest;
		},
	};
}

export { reported as until };

export async function say(agent: Agent, voice?: string) {
	const reply = await fetch(`${agent.url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({
			...{ input: "Good morning.", response_format: "pcm", voice },
		}),
	});
	const bundle = reply.headers.get("x-wattvox-bundle");
	const pcm = new Int16Array(await reply.arrayBuffer());
	return { status: reply.status, bundle, pcm };
}

// Before it is active, what computes is still that of the voice before it.
export const byTensorrt = (bundle: string) => (r: Reported) =>
	r.bundle === bundle && r.state === "active" && r.runtime?.name === "tensorrt";
export const refused = (bundle: string) => (r: Reported) =>
	r.bundle === bundle && r.runtime?.reason !== undefined;
