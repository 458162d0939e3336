import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Meter } from "./meter.ts";
import type { GaugeSource, SourceDescription } from "./source.ts";

/** A sensor that tests make up. */
export const FAKE: SourceDescription = {
	sensor: "fake",
	rails: ["all"],
	scope: "a test",
	measured: true,
};

/** A meter at a steady power whose time is moved by hand. */
export function handMeter(watts: bigint) {
	let ns = 1n;
	const meter = new Meter({
		kind: "counter",
		ranges: [null],
		describe: () => FAKE,
		read: async () => ({ atNs: ns, microjoules: [(ns * watts) / 1000n] }),
		close: async () => undefined,
	});
	const pass = async (seconds: number) => {
		ns += BigInt(seconds * 1e9);
	};
	return { meter, pass };
}

/** A folder with one program in it, a shell script; removed when the test ends. */
export async function fakeProgram(
	t: { teardown(fn: () => Promise<unknown>): void },
	name: string,
	body: string,
): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-program-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const path = join(dir, name);
	await writeFile(path, `#!/bin/sh\nPATH=/usr/bin:/bin\n${body}\n`, {
		mode: 0o755,
	});
	return dir;
}

/** Resolves as soon as a gauge has a reading that is newer than the one it has now. */
export async function nextReading(source: GaugeSource): Promise<void> {
	const { atNs } = await source.read();
	while ((await source.read()).atNs === atNs)
		await new Promise((resolve) => setImmediate(resolve));
}

/** Uniform in [0, 1): mulberry32. */
export function uniform(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let x = Math.imul(state ^ (state >>> 15), 1 | state);
		x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
		return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
	};
}
