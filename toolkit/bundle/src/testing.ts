import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { engineName, signEngine } from "./engine-head.ts";
import { hashBytes } from "./hash.ts";
import type { PrivateKey } from "./keys.ts";
import type { BundleMeta } from "./manifest.ts";
import { sha256 } from "./names.ts";
import type { BundleSource } from "./write.ts";

/** Meta of a made-up voice, for tests. */
export function sampleMeta(voice = "ada"): BundleMeta {
	return {
		voice,
		language: "en",
		sampleRate: 16_000,
		base: { name: "base-en", digest: null },
		energy: { trainWh: null, gCO2e: null, measured: false },
		consent: { statement: "Made for a test; nobody's voice." },
		created: "2026-01-01T00:00:00Z",
		expires: "2126-01-01T00:00:00Z",
	};
}

/** `size` bytes that look random and are the same for the same seed. */
export function sampleBytes(size: number, seed: string): Buffer {
	const out = Buffer.allocUnsafe(size);
	let state = Buffer.from(sha256(Buffer.from(seed)), "hex").readUInt32LE(0) | 1;
	for (let i = 0; i + 4 <= size; i += 4) {
		// xorshift32, Marsaglia 2003
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		out.writeInt32LE(state | 0, i);
	}
	for (let i = size & ~3; i < size; i++) out[i] = i & 0xff;
	return out;
}

/** A made-up engine: its key, its bytes and its signed head. */
export function sampleEngine(
	by: PrivateKey,
	options: { bytes?: number; seed?: string; deviceClass?: string } = {},
) {
	const { bytes = 200_000, seed = "engine", deviceClass } = options;
	const key = {
		recipe: 1,
		onnx: sha256(Buffer.from(seed)),
		...{ tensorrt: "10.3.0.26", cuda: "12.6", cudaDriver: "12.6" },
		...{ computeCapability: "8.7", device: "Orin", multiprocessors: 8 },
		...{ l4t: "36.4.3", module: null, precision: "fp16", refit: true },
		...{ workspaceBytes: 2 ** 29, level: null, profiles: [] },
	};
	const plan = sampleBytes(bytes, seed);
	const file = hashBytes(plan);
	const head = signEngine(key, file, by, { deviceClass });
	return { key, plan, file, head, name: engineName(key) };
}

/** The files of a made-up voice; `text` and `decoder` depend on the base's seed alone. */
export function sampleFiles(
	options: { base?: string; voice?: string; decoderBytes?: number } = {},
): BundleSource[] {
	const { base = "base", voice = "ada", decoderBytes = 300_000 } = options;
	return [
		{ role: "text", name: "text.onnx", bytes: sampleBytes(131_072, base) },
		{
			role: "decoder",
			name: "decoder.onnx",
			bytes: sampleBytes(decoderBytes, `${base} decoder`),
		},
		{
			role: "adapter",
			name: "adapter_model.safetensors",
			bytes: sampleBytes(10_001, voice),
		},
		{
			role: "voice",
			name: "voice.json",
			bytes: Buffer.from(`{"n":"${voice}"}`),
		},
	];
}

/** A folder that goes away when the test ends. */
export async function temporaryDir(t: {
	teardown(fn: () => Promise<void>): void;
}): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}
