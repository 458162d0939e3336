import type {
	BuildOptions,
	Precision,
	Profile,
	TensorRtFacts,
} from "./types.ts";

/** Scratch memory of the layers when nothing else is asked for, bytes. */
export const WORKSPACE_BYTES = 512 * 2 ** 20;

/**
 * Everything an engine depends on, as plain JSON with its keys in one order: two engines may stand for
 * one another only when these are equal. Hash its JSON for a name.
 *
 * The timing cache is left out: it changes which kernels win, not where the engine runs.
 */
export interface EngineKey {
	/** Rises when the shim's builder does something else with the same options. */
	readonly recipe: 1;
	/** SHA-256 of the ONNX model, hex. */
	readonly onnx: string;
	readonly tensorrt: string;
	readonly cuda: string;
	readonly cudaDriver: string;
	readonly computeCapability: string;
	readonly device: string;
	readonly multiprocessors: number;
	readonly l4t: string | null;
	readonly module: string | null;
	readonly precision: Precision;
	readonly refit: boolean;
	readonly workspaceBytes: number;
	readonly level: number | null;
	/** Inputs sorted by name in each. */
	readonly profiles: readonly Profile[];
}

/**
 * The key of an engine.
 * @param facts where it is built, or is to run
 * @param onnx SHA-256 of the model, hex
 * @param options what it is built with; defaults count as if they had been written
 */
export function engineKey(
	facts: TensorRtFacts,
	onnx: string,
	options: BuildOptions = {},
): EngineKey {
	return {
		recipe: 1,
		onnx,
		tensorrt: facts.tensorrt,
		cuda: facts.cuda,
		cudaDriver: facts.cudaDriver,
		computeCapability: facts.computeCapability,
		device: facts.device,
		multiprocessors: facts.multiprocessors,
		l4t: facts.l4t,
		module: facts.module,
		precision: options.precision ?? "fp32",
		refit: options.refit ?? false,
		workspaceBytes: options.workspaceBytes ?? WORKSPACE_BYTES,
		level: options.level ?? null,
		profiles: (options.profiles ?? []).map(sorted),
	};
}

function sorted(profile: Profile): Profile {
	return Object.fromEntries(
		Object.keys(profile)
			.sort()
			.map((name) => {
				const { min, opt, max } = profile[name] as Profile[string];
				return [name, { min: [...min], opt: [...opt], max: [...max] }];
			}),
	);
}
