import { compileShim, workshop } from "@wattvox/runtime/tensorrt";

export interface ShimRequest {
	/** The library to write. */
	out: string;
	/** Folders with TensorRT's and CUDA's headers, before the usual ones. */
	include?: readonly string[] | undefined;
	/** Folders with their libraries, before the usual ones. */
	lib?: readonly string[] | undefined;
	signal?: AbortSignal | undefined;
}

/**
 * Compiles the shim on this device and asks it, in a child process, what it runs on.
 * @returns lines for people
 * @throws WattvoxError E_TENSORRT: no compiler, no headers, or no device that answers; E_INTERRUPTED
 */
export async function makeShim(request: ShimRequest): Promise<string[]> {
	const { out, signal } = request;
	await compileShim(request);
	const here = await workshop(out).facts({ signal });
	return [
		`wrote     ${out}`,
		`TensorRT  ${here.tensorrt}, compiled against the headers of ${here.headers}`,
		`device    ${here.device} (${here.computeCapability}), CUDA ${here.cuda}`,
	];
}
