import { WattvoxError } from "@wattvox/core";
import type { Reported } from "@wattvox/link";

/** What is known of a device that a rollout is for. */
export interface EngineTarget {
	device: string;
	/** Null: it does not say. */
	deviceClass: string | null;
	/** What computes its speech; undefined: it has not said yet. */
	runtime: Reported["runtime"];
}

/**
 * Refuses a rollout while a device class lacks an engine for its bundle. A class needs one unless every
 * target of it says that it speaks on ONNX Runtime and that it should: what is not known yet may be
 * TensorRT. Pure.
 * @param built classes that have a signed engine
 * @throws WattvoxError E_USAGE naming the classes
 */
export function checkEngines(
	targets: readonly EngineTarget[],
	built: ReadonlySet<string>,
): void {
	const needing = targets.filter(
		({ runtime }) => runtime?.name !== "onnxruntime" || runtime.reason,
	);
	const nameless = needing.filter((d) => d.deviceClass === null);
	if (nameless.length > 0)
		throw new WattvoxError(
			"E_USAGE",
			`--require-engines: ${nameless
				.slice(0, 5)
				.map((d) => d.device)
				.join(
					", ",
				)} does not say its device class, and an engine is for one class`,
		);
	const lacking = [...new Set(needing.map((d) => d.deviceClass ?? ""))]
		.filter((name) => !built.has(name))
		.sort();
	if (lacking.length > 0)
		throw new WattvoxError(
			"E_USAGE",
			`--require-engines: there is no signed engine of this bundle for device class ${lacking.join(
				", ",
			)}: publish the bundle to the class's build station (\`agent run --builder-key\`), which brings one to the store, or name a signed file with --engine CLASS=FILE`,
		);
}
