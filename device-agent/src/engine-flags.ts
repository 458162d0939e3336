import { WattvoxError } from "@wattvox/core";
import type { EngineSettings } from "./engine/engines.ts";

/** How the command lines say what an agent's engines are to be; both name them alike. */
export interface EngineFlags {
	shim?: string | undefined;
	precision?: string | undefined;
	"builder-key"?: string | undefined;
	"pull-engines"?: boolean | undefined;
	/** Minutes. */
	"wait-engines"?: number | undefined;
	/** MiB. */
	"engine-memory-mb"?: number | undefined;
}

const PRECISIONS = ["fp32", "fp16", "bf16"] as const;
/** Minutes that a device may wait for an engine: a week. */
const WAIT_MOST = 7 * 24 * 60;
/** MiB of a process with TensorRT. */
const MEMORY = { least: 256, most: 1_000_000 };

/**
 * Holds them to what goes together.
 * @returns the settings; undefined without a shim: then there are no engines
 * @throws WattvoxError E_USAGE
 */
export function engineSettings(flags: EngineFlags): EngineSettings | undefined {
	const { shim, "builder-key": key, "pull-engines": pullOnly } = flags;
	const { "wait-engines": wait = 0, "engine-memory-mb": memory } = flags;
	const precision = PRECISIONS.find((p) => p === (flags.precision ?? "fp32"));
	if (!precision)
		throw usage(`--precision ${flags.precision} is not fp32, fp16 or bf16`);
	if (key !== undefined && shim === undefined)
		throw usage("--builder-key needs --shim");
	if (pullOnly && (shim === undefined || key !== undefined))
		throw usage(
			"--pull-engines needs --shim, and goes without --builder-key: it builds none",
		);
	inRange("wait-engines", wait, 0, WAIT_MOST);
	if (wait > 0 && (shim === undefined || pullOnly || key !== undefined))
		throw usage(
			"--wait-engines needs --shim, and goes without --pull-engines and --builder-key",
		);
	if (memory !== undefined)
		inRange("engine-memory-mb", memory, MEMORY.least, MEMORY.most);
	if (shim === undefined) return undefined;
	return {
		...{ shim, precision, pullOnly, patienceMs: wait * 60_000 },
		...(memory !== undefined && { memoryBytes: memory * 2 ** 20 }),
	};
}

function inRange(name: string, value: number, least: number, most: number) {
	if (!Number.isInteger(value) || value < least || value > most)
		throw usage(`--${name} is a whole number in ${least} to ${most}`);
}

function usage(message: string): WattvoxError {
	return new WattvoxError("E_USAGE", message);
}
