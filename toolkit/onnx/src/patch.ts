// Merging an adapter into a model's bytes. A device does this at every update, so it neither parses nor
// writes what the adapter leaves alone: protobuf's own reading and writing of a whole model takes longer
// than all the arithmetic. It has an entry point of its own (@wattvox/onnx/patch), without the rest.
import { WattvoxError } from "@wattvox/core";
import { bytesOf, dataFrom } from "./bytes.ts";
import { changedWeight, type WeightChange } from "./lora.ts";
import { HALF_SUFFIX } from "./precision-names.ts";
import { castFloat } from "./tensor.ts";
import { DTYPE_CODE, dtypeOf, type Tensor } from "./types.ts";
import { type Field, fieldsOf, lengthDelimited, varintField } from "./wire.ts";

export { type WeightChange, weightChanges } from "./lora.ts";
export { decodeSafetensors } from "./safetensors.ts";

// Field numbers of onnx.proto.
const MODEL = { graph: 7 };
const GRAPH = { node: 1, initializer: 5 };
const NODE = { output: 2, opType: 4 };
const TENSOR = { dims: 1, dataType: 2, name: 8, rawData: 9 };

const untext = new TextDecoder();
const text = new TextEncoder();

/**
 * Makes an adapter's changes in a model, as `mergeLora` does in a graph.
 * A weight kept in half precision behind a Cast (`halveWeights`) becomes a float32 initialiser in its
 * place, and its Cast goes; everything else keeps its bytes.
 * @returns the model's bytes, in a buffer of their own when anything changed, and the names of the weights
 *   that did
 * @throws WattvoxError E_MODEL when the bytes are no model, a weight's elements are not inside it as raw
 *   bytes, or a change's shape does not fit its weight
 */
export function mergeLoraBytes(
	model: Uint8Array,
	changes: ReadonlyMap<string, WeightChange>,
	scale: number,
): { model: Uint8Array; merged: string[] } {
	const merged: string[] = [];
	const parts = [...fieldsOf(model)].flatMap((field) =>
		field.no === MODEL.graph && field.wire === 2
			? lengthDelimited(
					MODEL.graph,
					...mergeGraph(model, field, changes, scale, merged),
				)
			: [model.subarray(field.start, field.end)],
	);
	return { model: merged.length > 0 ? concatenated(parts) : model, merged };
}

function mergeGraph(
	model: Uint8Array,
	graph: Field,
	changes: ReadonlyMap<string, WeightChange>,
	scale: number,
	merged: string[],
): Uint8Array[] {
	const fields = [...fieldsOf(model, graph.at, graph.end)];
	const weights = new Map<Field, string>();
	const halves = new Set<string>();
	for (const field of fields)
		if (field.no === GRAPH.initializer) {
			const stored = stringIn(model, field, TENSOR.name);
			const half = stored.endsWith(HALF_SUFFIX);
			const name = half ? stored.slice(0, -HALF_SUFFIX.length) : stored;
			if (!changes.has(name)) continue;
			weights.set(field, name);
			if (half) halves.add(name);
		}
	return fields.flatMap((field) => {
		const name = weights.get(field);
		const change = name === undefined ? undefined : changes.get(name);
		if (name !== undefined && change) {
			merged.push(name);
			const base = castFloat(tensorIn(model, field, name), "float32");
			return initializer(name, changedWeight(name, base, change, scale));
		}
		const gone =
			halves.size > 0 &&
			field.no === GRAPH.node &&
			halves.has(stringIn(model, field, NODE.output)) &&
			stringIn(model, field, NODE.opType) === "Cast";
		return gone ? [] : [model.subarray(field.start, field.end)];
	});
}

/** The last value of a string field of the message in `outer`; "" when there is none. */
function stringIn(model: Uint8Array, outer: Field, no: number): string {
	let found = "";
	for (const f of fieldsOf(model, outer.at, outer.end))
		if (f.no === no) found = untext.decode(model.subarray(f.at, f.end));
	return found;
}

function tensorIn(model: Uint8Array, outer: Field, name: string): Tensor {
	const dims: number[] = [];
	let dtype: Tensor["dtype"] | undefined;
	let raw: Uint8Array | undefined;
	for (const f of fieldsOf(model, outer.at, outer.end)) {
		if (f.no === TENSOR.dims)
			dims.push(...(f.wire === 2 ? packed(model, f) : [f.value]));
		if (f.no === TENSOR.dataType) dtype = dtypeOf(f.value);
		if (f.no === TENSOR.rawData) raw = model.subarray(f.at, f.end);
	}
	const each = { float16: 2, bfloat16: 2, float32: 4, float64: 8 };
	const size = each[dtype as keyof typeof each];
	if (!dtype || !raw || raw.length !== dims.reduce((n, d) => n * d, size))
		throw new WattvoxError(
			"E_MODEL",
			`the weight ${name} is not kept in the model as floats in raw bytes: nothing can be merged into it`,
		);
	return { dtype, dims, data: dataFrom(dtype, raw) };
}

/** Varints in one length-delimited field: each is a field without a tag. */
function packed(model: Uint8Array, field: Field): number[] {
	const values: number[] = [];
	let value = 0;
	let scale = 1;
	for (const byte of model.subarray(field.at, field.end)) {
		value += (byte & 0x7f) * scale;
		scale *= 128;
		if (byte >= 0x80) continue;
		values.push(value);
		[value, scale] = [0, 1];
	}
	return values;
}

function initializer(name: string, tensor: Tensor): Uint8Array[] {
	return lengthDelimited(
		GRAPH.initializer,
		...tensor.dims.map((d) => varintField(TENSOR.dims, d)),
		varintField(TENSOR.dataType, DTYPE_CODE[tensor.dtype]),
		...lengthDelimited(TENSOR.name, text.encode(name)),
		...lengthDelimited(TENSOR.rawData, bytesOf(tensor.data)),
	);
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
	const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
	let at = 0;
	for (const part of parts) {
		out.set(part, at);
		at += part.length;
	}
	return out;
}
