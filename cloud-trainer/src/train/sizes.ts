import {
	DATA_CLASS,
	type Dim,
	type Graph,
	inferTypes,
	type Tensor,
	type ValueType,
} from "@wattvox/onnx";

/**
 * Types of a graph's values with the symbols of its inputs replaced by the sizes of real feeds.
 * Initialisers stay as they are.
 */
export function concreteTypes(
	graph: Graph,
	feeds: Readonly<Record<string, Tensor>>,
): Map<string, ValueType> {
	const symbols = new Map<string, number>();
	for (const { name, shape } of graph.inputs)
		shape?.forEach((d, i) => {
			const size = feeds[name]?.dims[i];
			if (typeof d === "string" && size !== undefined) symbols.set(d, size);
		});
	const bound = (d: Dim): Dim =>
		typeof d === "string" ? (symbols.get(d) ?? d) : d;
	const known = <T extends ValueType>(v: T): T => ({
		...v,
		shape: v.shape?.map(bound),
	});
	return inferTypes({
		...graph,
		inputs: graph.inputs.map((v) => {
			const dims = feeds[v.name]?.dims;
			return dims ? { ...v, shape: [...dims] } : known(v);
		}),
		outputs: graph.outputs.map(known),
		valueInfo: new Map([...graph.valueInfo].map(([n, t]) => [n, known(t)])),
	});
}

/** Bytes of a value; undefined while one of its sizes is not known. */
export function bytesOfType(type: ValueType | undefined): number | undefined {
	let n = 1;
	for (const d of type?.shape ?? ["?"]) {
		if (typeof d !== "number") return undefined;
		n *= d;
	}
	return type && n * DATA_CLASS[type.dtype].BYTES_PER_ELEMENT;
}
