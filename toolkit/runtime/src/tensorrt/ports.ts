// An engine's tensors against the model's ports: which is which, and how values pass between them.
import { WattvoxError } from "@wattvox/core";
import type { Port } from "../engine.ts";
import type { Dtype, Tensor, TensorData } from "../tensor.ts";
import type { Ports, TrtTensor } from "./types.ts";

/** Ports of an engine that nobody described: free dimensions have no names. */
export function ownPorts(tensors: readonly TrtTensor[]): Ports {
	const port = (t: TrtTensor): Port => ({
		name: t.name,
		dtype: t.dtype,
		shape: t.shape.map((d) => (d < 0 ? "" : d)),
	});
	return {
		inputs: tensors.filter((t) => t.input).map(port),
		outputs: tensors.filter((t) => !t.input).map(port),
	};
}

/**
 * Checks that an engine is of the model that the ports describe.
 * @throws WattvoxError E_MODEL naming the tensor that does not fit
 */
export function checkPorts(tensors: readonly TrtTensor[], ports: Ports): void {
	for (const [input, list] of [
		[true, ports.inputs],
		[false, ports.outputs],
	] as const) {
		const has = tensors.filter((t) => t.input === input);
		const kind = input ? "input" : "output";
		for (const port of list) {
			const t = has.find((one) => one.name === port.name);
			if (!t) throw misfit(`the engine has no ${kind} "${port.name}"`);
			if (t.dtype !== port.dtype && !narrowed(port.dtype, t.dtype))
				throw misfit(
					`${kind} "${port.name}" is ${t.dtype} in the engine, ${port.dtype} in the model`,
				);
			const same =
				t.shape.length === port.shape.length &&
				t.shape.every(
					(d, i) => typeof port.shape[i] === "string" || d === port.shape[i],
				);
			if (!same)
				throw misfit(
					`${kind} "${port.name}" has shape [${t.shape}] in the engine, [${port.shape}] in the model`,
				);
		}
		const extra = has.find((t) => !list.some((port) => port.name === t.name));
		if (extra) throw misfit(`the model has no ${kind} "${extra.name}"`);
	}
}

/** Before version 10 TensorRT's ONNX parser reads int64 as int32. */
function narrowed(model: Dtype, engine: Dtype): boolean {
	return model === "int64" && engine === "int32";
}

/**
 * Data as the engine takes it; the same array where nothing changes.
 * @throws WattvoxError E_MODEL for an int64 that no int32 holds
 */
export function toEngine(t: Tensor, engine: TrtTensor): TensorData {
	if (t.dtype === engine.dtype) return t.data;
	const wide = t.data as BigInt64Array;
	const narrow = Int32Array.from(wide, Number);
	const lost = wide.findIndex((x, i) => BigInt(narrow[i] ?? 0) !== x);
	if (lost >= 0)
		throw misfit(
			`input "${engine.name}": ${wide[lost]} does not fit the engine's int32`,
		);
	return narrow;
}

/** Data as the model gives it. */
export function toModel(data: TensorData, dtype: Dtype): TensorData {
	return dtype === "int64" && data instanceof Int32Array
		? BigInt64Array.from(data, BigInt)
		: data;
}

function misfit(message: string): WattvoxError {
	return new WattvoxError("E_MODEL", message);
}
