import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { newKey, sha256 } from "@wattvox/bundle";
import { sampleBytes, sampleEngine } from "@wattvox/bundle/testing";
import { createLog, systemClock } from "@wattvox/core";
import {
	EngineCache,
	EngineCarrier,
	loadVoice,
	openPack,
	packEngine,
	servesVoice,
} from "@wattvox/device-agent/testing";
import { decoderModel } from "@wattvox/synth/tensorrt";
import { tinyVoice } from "@wattvox/synth/testing";
import { Attempts, code, flip, rot, unless } from "./disk-attempts.ts";
import type { World } from "./disk-world.ts";
import type { Findings } from "./simulated-disk.ts";

/** Engines that rot where they lie, and engines of something else. */
export async function engines(world: World): Promise<Findings> {
	const a = new Attempts(world, "engine");
	const made = sampleEngine(world.key, { bytes: 100_000 });
	const key = made.key as never;
	const built = { kind: "built", seconds: 1 } as const;

	await a.attempt("an engine's file that is not what was signed", async () => {
		const packed = Buffer.concat(packEngine(key, made.plan, world.key));
		flip(packed, packed.byteLength - 9);
		const end = await code(() => openPack(packed, a.trust));
		return unless(end, "E_TAMPERED", "it is opened with");
	});

	await a.attempt("a refitted copy that rots", async (_, dir) => {
		const cache = new EngineCache(join(dir, "engines"));
		const entry = await cache.put(key, made.plan, built);
		const voice = "b".repeat(64);
		const copy = await cache.refit(entry, voice, (path) =>
			writeFile(path, sampleBytes(5000, "refitted")),
		);
		if (!(await cache.refitted(entry, voice))) return "it is not found at all";
		await rot(copy.path, 9);
		return (await cache.refitted(entry, voice)) ? "it is found" : undefined;
	});

	await a.attempt("an engine that rots after its trial", async (_, dir) => {
		const cache = new EngineCache(join(dir, "engines"));
		const entry = await cache.put(key, made.plan, built);
		const opened = async () => {
			let seen = false;
			const { path, sha256 } = entry;
			const engine = { path, sha256, ports: {} };
			const open = async () => {
				seen = true;
				throw new Error("opened");
			};
			// there is no voice either, which is not what is asked here
			await loadVoice({ dir, engine } as never, {
				...{ threads: 1, tensorrt: "/no/shim.so", open },
			}).catch(() => undefined);
			return seen;
		};
		if (!(await opened())) return "a good one is not opened";
		await rot(entry.path, 9);
		return (await opened()) ? "it is opened" : undefined;
	});

	await a.attempt("an engine that rots before it is signed", async (_, dir) => {
		const cache = new EngineCache(join(dir, "engines"));
		const { id, path } = await cache.put(key, made.plan, built);
		await rot(path, 9);
		const end = await new Promise<string>((resolve) => {
			const write = (line: string) => resolve(JSON.parse(line).code);
			const carrier = new EngineCarrier({
				...{ fleet: "f", device: "d", deviceClass: "c", dataDir: dir },
				...{ trust: a.trust, builder: world.key, clock: systemClock },
				store: () => "s",
				busy: () => false,
				// asked for when the engine is signed
				link: async () => {
					throw Object.assign(new Error(), { code: "signed" });
				},
				log: createLog("test", { level: "warn", to: { write } }),
			});
			carrier.offer(id);
		});
		return unless(end, "E_TAMPERED", "it is offered with");
	});

	await a.attempt("a station's engine of another voice", async () => {
		const voice = tinyVoice({ name: "ada", adapterSeed: 1 });
		const { tensorrt } = made.key;
		const own = sha256((await decoderModel(voice, tensorrt)).base);
		const serves = servesVoice(voice);
		const asked = { ...made.key, refit: true } as never as { onnx: string };
		if (!(await serves({ ...asked, onnx: own } as never)))
			return "its own is not taken";
		const strange = { ...asked, onnx: newKey().id } as never;
		return (await serves(strange)) ? "it is taken" : undefined;
	});
	return a.findings;
}
