import { readFile } from "node:fs/promises";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import {
	decodeSafetensors,
	encodeSafetensors,
	type Tensor,
} from "@wattvox/onnx";
import { z } from "zod";

const bestSchema = z.object({
	/** Step and loss of the best validation. */
	step: z.number().int(),
	loss: z.number(),
	/** The loss from which patience counts a gain. */
	mark: z.number(),
	/** Validations in a row without a gain. */
	waited: z.number().int(),
	/** Training is over, however many steps are left. */
	stopped: z.boolean(),
});

/** The best validation so far, and how long there was none better. */
export type Best = z.infer<typeof bestSchema> & {
	/** The parameters then, where they are kept. */
	parameters?: Map<string, Tensor>;
};

/** Where a training run stood. */
export interface Checkpoint {
	step: number;
	/** Parameters and moments by state name. */
	state: Map<string, Tensor>;
	/** Seconds and joules spent so far, over all attempts; joules are null when unknown. */
	seconds: number;
	joules: number | null;
	/** The loss scale of mixed precision; absent in single precision. */
	scale?: number;
	/** Absent before the first validation. */
	best?: Best;
}

/** In front of the names of the best validation's parameters; no name of ONNX begins like this. */
const BEST = "best/";

/** Writes a checkpoint whole or not at all. */
export async function saveCheckpoint(
	path: string,
	c: Checkpoint,
): Promise<void> {
	const { parameters, ...best } = c.best ?? {};
	const tensors = new Map(c.state);
	for (const [name, t] of parameters ?? []) tensors.set(`${BEST}${name}`, t);
	await writeAtomic(
		path,
		encodeSafetensors(tensors, {
			step: String(c.step),
			seconds: String(c.seconds),
			joules: c.joules === null ? "" : String(c.joules),
			...(c.scale !== undefined && { scale: String(c.scale) }),
			...(c.best && { best: JSON.stringify(best) }),
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
	const state = new Map<string, Tensor>();
	const parameters = new Map<string, Tensor>();
	for (const [name, t] of tensors)
		if (name.startsWith(BEST)) parameters.set(name.slice(BEST.length), t);
		else state.set(name, t);
	return {
		step,
		state,
		seconds: Number(metadata.seconds ?? 0),
		joules: metadata.joules ? Number(metadata.joules) : null,
		...(metadata.scale && { scale: Number(metadata.scale) }),
		...(metadata.best && {
			best: {
				...parseBest(path, metadata.best),
				...(parameters.size > 0 && { parameters }),
			},
		}),
	};
}

function parseBest(path: string, json: string): z.infer<typeof bestSchema> {
	try {
		return bestSchema.parse(JSON.parse(json));
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", `${path} is no checkpoint`, {
			cause,
		});
	}
}
