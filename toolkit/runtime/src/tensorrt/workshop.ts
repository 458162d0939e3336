import { runIsolated } from "./isolated.ts";
import type { Limits, Workshop } from "./types.ts";

/**
 * TensorRT at arm's length: every call is a child process of its own, see {@link Workshop}. Nothing is
 * loaded into this process.
 * @param library path of the compiled shim, see `compileShim`
 */
export function workshop(library: string): Workshop {
	return {
		facts: (limits) => runIsolated({ kind: "facts", library }, limits),
		buildEngine: (onnx, request = {}) => {
			const { timingCache, profiles, precision, refit, workspaceBytes, level } =
				request;
			const options = {
				timingCache,
				profiles,
				precision,
				refit,
				workspaceBytes,
				level,
			};
			return runIsolated(
				{ kind: "build", library, onnx, options },
				limitsOf(request),
				request.onProgress,
			);
		},
		trial: (engine, request = {}) => {
			const { ports, feeds = [] } = request;
			return runIsolated(
				{ kind: "trial", library, engine, ports, feeds },
				limitsOf(request),
			);
		},
		refit: (request) => {
			const { engine, weights, needed, out } = request;
			return runIsolated(
				{ kind: "refit", library, engine, weights, needed, out },
				limitsOf(request),
			);
		},
	};
}

function limitsOf(request: Limits): Limits {
	const { deadlineMs, memoryBytes, signal } = request;
	return { deadlineMs, memoryBytes, signal };
}
