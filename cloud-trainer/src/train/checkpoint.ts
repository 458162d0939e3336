import { readFile } from "node:fs/promises";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import {
	decodeSafetensors,
	encodeSafetensors,
	type Tensor,
} from "@wattvox/onnx";

/** Where a training run stood. */
export interface Checkpoint {
	step: number;
	/** Parameters and moments by state name. */
	state: Map<string, Tensor>;
	/** Seconds and joules spent so far, over all attempts; joules are null when unknown. */
	seconds: number;
	joules: number | null;
}

/** Writes a checkpoint whole or not at all. */
export async function saveCheckpoint(
	path: string,
	c: Checkpoint,
): Promise<void> {
	await writeAtomic(
		path,
		encodeSafetensors(c.state, {
			step: String(c.step),
			seconds: String(c.seconds),
			joules: c.joules === null ? "" : String(c.joules),
		}),
	);
}

/** Reads a checkpoint; undefined when there is none. @throws WattvoxError E_FILE_FORMAT when damaged */
export async function loadCheckpoint(
	path: string,
): Promise<Checkpoint | undefined> {
	let bytes: Uint8Array;
	try {
		bytes = await readFile(path);
	} catch (thrown) {
		if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw thrown;
	}
	const { tensors, metadata } = decodeSafetensors(bytes);
	const step = Number(metadata.step);
	if (!Number.isInteger(step))
		throw new WattvoxError("E_FILE_FORMAT", `${path} is no checkpoint`);
	return {
		step,
		state: tensors,
		seconds: Number(metadata.seconds ?? 0),
		joules: metadata.joules ? Number(metadata.joules) : null,
	};
}
