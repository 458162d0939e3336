import { parseArgs } from "node:util";
import { WattvoxError } from "@wattvox/core";
import { DeviceRig } from "./device-rig.ts";
import { printed } from "./printed.ts";

/** A benchmark on a fleet of one, and what tells it from the others. */
export interface DeviceBench<Result> {
	name: string;
	/** The one number that it takes, as an option of this name. */
	count: { name: string; about: string; default: number; least: number };
	/** @throws WattvoxError by the voice; the signal's reason */
	measure(
		o: DeviceBenchOptions,
		note: (line: string) => void,
		signal: AbortSignal,
	): Promise<Result>;
	/** For people. */
	report(result: Result): string;
}

export interface DeviceBenchOptions {
	/** A bundle's folder with an adapter, or "tiny". */
	voice: string;
	count: number;
	/** The disk to work on. */
	dir: string;
}

/** Parses, measures and prints. @throws WattvoxError E_USAGE, and what measuring throws */
export async function runDeviceBench<Result>(
	argv: string[],
	bench: DeviceBench<Result>,
): Promise<void> {
	const { count } = bench;
	const { values } = parseArgs({
		args: argv,
		options: {
			voice: { type: "string" },
			[count.name]: { type: "string", default: String(count.default) },
			dir: { type: "string", default: "." },
			json: { type: "boolean", default: false },
			help: { type: "boolean", default: false },
		},
	});
	const o = values as Record<string, string | boolean | undefined>;
	const usage = usageOf(bench);
	if (o.help) return void process.stdout.write(usage);
	const { voice, dir } = o;
	const number = Number(o[count.name]);
	if (
		typeof voice !== "string" ||
		typeof dir !== "string" ||
		!(Number.isSafeInteger(number) && number >= count.least)
	)
		throw new WattvoxError("E_USAGE", usage);
	await printed(o.json === true, {
		measure: (note, signal) =>
			bench.measure({ voice, count: number, dir }, note, signal),
		report: bench.report,
	});
}

/**
 * Starts a fleet of one and brings it its first voice, for as long as `use` takes.
 * @param use is given the rig and the digest of what it speaks with
 * @param options more of the agent's
 * @throws WattvoxError E_GOLDEN when the voice is refused; what `use` throws; the signal's reason
 */
export async function withSpeakingRig<T>(
	o: Pick<DeviceBenchOptions, "voice" | "dir">,
	note: (line: string) => void,
	signal: AbortSignal,
	use: (rig: DeviceRig, digest: string) => Promise<T>,
	options: readonly string[] = [],
): Promise<T> {
	note("starting a broker, a store and an agent ...");
	const rig = await DeviceRig.start(o.voice, o.dir, signal, options);
	try {
		const { path, digest } = await rig.bundle(0);
		await rig.publish(path, signal);
		await rig.speaks(digest, signal);
		return await use(rig, digest);
	} finally {
		await rig.stop();
	}
}

function usageOf({
	name,
	count,
}: Pick<DeviceBench<unknown>, "name" | "count">): string {
	const option = `--${count.name} N`.padEnd(16);
	return `npm run bench -- ${name} --voice DIR [options]

  --voice DIR      a bundle's folder with an adapter; "tiny" for the tests' own
  ${option} ${count.about} (default ${count.default})
  --dir DIR        the disk to work on (default: here)
  --json           for programs
`;
}
