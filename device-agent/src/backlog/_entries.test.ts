// What tests of the backlog have in common; no tests are in here.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import type { Entry } from "./entries.ts";

const T0 = Date.UTC(2026, 0, 1);
const COMMON = { measured: true, sensor: "ina3221", voice: null } as const;

/** A reading of the counters, by default each in a minute of its own. */
export function reading(
	boot: string,
	sequence: number,
	minute = sequence,
): Entry & { stream: "power" } {
	return {
		stream: "power",
		body: {
			...{ v: 1, device: "d1", boot, sequence, ...COMMON },
			...{ millijoules: sequence * 1000, utterances: sequence },
			...{ audioSeconds: sequence, computeSeconds: sequence },
			at: new Date(T0 + minute * 60_000).toISOString(),
		},
	};
}

export function utterance(
	boot: string,
	n: number,
): Entry & { stream: "utterance" } {
	return {
		stream: "utterance",
		body: {
			...{ boot, n, ...COMMON, whole: true, millijoules: 200 },
			...{ audioSeconds: 2, computeSeconds: 0.1, firstSoundMs: 40 },
			at: new Date(T0 + n * 1000).toISOString(),
		},
	};
}

export async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-backlog-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	return dir;
}
