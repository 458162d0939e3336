import { WattvoxError } from "@wattvox/core";
import { type Graph, sizeOf, type Tensor } from "@wattvox/onnx";

export type Feeds = Record<string, Tensor>;

/**
 * A batch in parts of rows, as even as can be. Inputs whose first size is a symbol and that have as many
 * rows as the batch are cut; the others go with every part. Parts are views: nothing is copied.
 * @throws WattvoxError E_MODEL when the batch size is fixed in the model
 */
export function splitBatch(graph: Graph, feeds: Feeds, parts: number): Feeds[] {
	const open = graph.inputs.filter((v) => typeof v.shape?.[0] === "string");
	const rows = feeds[open[0]?.name ?? ""]?.dims[0];
	if (!rows)
		throw new WattvoxError(
			"E_MODEL",
			"the model fixes its batch size: gradients cannot be accumulated over parts of a batch",
		);
	const names = new Set(open.map((v) => v.name));
	const count = Math.min(parts, rows);
	return Array.from({ length: count }, (_, i) => {
		const [from, to] = [i, i + 1].map((k) =>
			Math.floor((k * rows) / count),
		) as [number, number];
		return Object.fromEntries(
			Object.entries(feeds).map(([name, t]) => [
				name,
				names.has(name) && t.dims[0] === rows ? rowsOf(t, from, to) : t,
			]),
		);
	});
}

function rowsOf(t: Tensor, from: number, to: number): Tensor {
	const width = sizeOf(t.dims.slice(1));
	return {
		dtype: t.dtype,
		dims: [to - from, ...t.dims.slice(1)],
		data: t.data.subarray(from * width, to * width) as Tensor["data"],
	};
}

/** Rows of a batch, as {@link splitBatch} counts them. */
export function batchRows(graph: Graph, feeds: Feeds): number {
	for (const v of graph.inputs)
		if (typeof v.shape?.[0] === "string") return feeds[v.name]?.dims[0] ?? 1;
	return 1;
}
