// A Jetson made of files, whose time passes only when it works or waits; no tests are in here.
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "@wattvox/core";
import { Meter, openIna3221, type PowerSource } from "@wattvox/energy";
import type { ExecutionContext } from "ava";
import { runtimeOf, type VoiceAt } from "../speaker/messages.ts";
import type { Workload } from "./workload.ts";

const TREE = fileURLToPath(
	new URL("../../../toolkit/energy/fixtures/orin-nano/", import.meta.url),
);
const MONITOR = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1";
const MILLIVOLTS = 4952;
const IDLE_WATTS = 4;
/** Seconds of computing per second of speech. */
const PACE = 0.5;

/**
 * An Orin Nano by its sysfs tree: it rests at 4 W and draws what a voice needs while it speaks.
 * @param watts of each voice, by digest, and by "DIGEST by ENGINE" where it speaks by one; they scatter by
 *   `scatter` of themselves
 */
export function jetson(
	t: ExecutionContext,
	watts: Record<string, number>,
	scatter = 0.01,
) {
	const root = mkdtempSync(join(tmpdir(), "wattvox-jetson-"));
	t.teardown(() => rm(root, { recursive: true, force: true }));
	cpSync(TREE, root, { recursive: true });
	let ns = 1;
	let seed = 1;
	const draw = (value: number) => {
		const milliamperes = Math.round((value * 1e6) / MILLIVOLTS);
		writeFileSync(join(root, MONITOR, "curr1_input"), `${milliamperes}\n`);
	};
	const hooks = { onSentence: (_n: number): void => undefined, dead: false };
	const sensor = openIna3221(root);
	if ("unavailable" in sensor) throw new Error(sensor.unavailable);
	const source: PowerSource = {
		kind: "gauge",
		describe: () => sensor.describe(),
		async read() {
			if (hooks.dead) throw new Error("gone");
			return { ...(await sensor.read()), atNs: BigInt(Math.round(ns)) };
		},
		close: async () => undefined,
	};
	let meter = new Meter(source);
	const pass = async (seconds: number, watts: number) => {
		// numbers in -1..1 that are the same in every run (Park and Miller)
		seed = (seed * 48_271) % 2_147_483_647;
		draw(watts * (1 + scatter * (2 * (seed / 2_147_483_647) - 1)));
		// a reading at the time of the one before counts for nothing
		ns += 1000;
		for (let left = seconds; left > 1e-9; left -= 1) {
			await meter.point();
			ns += Math.min(left, 1) * 1e9;
		}
		await meter.point();
	};
	const clock: Clock = {
		wall: () => Date.UTC(2026, 0, 1) + ns / 1e6,
		monotonic: () => ns / 1e6,
		async sleep(ms, signal) {
			signal?.throwIfAborted();
			await pass(ms / 1000, IDLE_WATTS);
			signal?.throwIfAborted();
		},
	};
	const spoken: string[] = [];
	return {
		...{ root, source, clock, spoken, hooks },
		meter: () => {
			meter = new Meter(source);
			return meter;
		},
		/** Writes the power mode and the temperature of every zone. */
		set(mode: number, celsius: number) {
			writeFileSync(
				join(root, "var/lib/nvpmodel/status"),
				`pmode:000${mode}\n`,
			);
			for (const zone of [0, 1, 3])
				writeFileSync(
					join(root, `sys/devices/virtual/thermal/thermal_zone${zone}/temp`),
					`${celsius * 1000}\n`,
				);
		},
		open: async (
			{ digest, engine }: VoiceAt,
			signal: AbortSignal,
		): Promise<Workload> => ({
			runtime: runtimeOf(engine?.id ?? null),
			async speak(text) {
				const name = engine ? `${digest} by ${engine.id}` : digest;
				spoken.push(name);
				hooks.onSentence(spoken.length);
				signal.throwIfAborted();
				const audioSeconds = text.length / 14;
				await pass(audioSeconds * PACE, watts[name] ?? 9);
				return { audioSeconds };
			},
			close: () => undefined,
		}),
	};
}
