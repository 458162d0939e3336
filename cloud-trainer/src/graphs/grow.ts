import { WattvoxError } from "@wattvox/core";
import { normal, seededRandom } from "@wattvox/models";
import { floats, type Graph } from "@wattvox/onnx";

/**
 * Makes room for more speakers (or symbols) in a trained model: rows are added to an embedding table,
 * each the mean of those that are there plus noise of a tenth of their spread, so that a new speaker
 * begins as an average one. The old rows stay as they are.
 * @param name the table's initialiser, [rows, width]
 * @param rows how many there shall be
 * @throws WattvoxError E_MODEL when it is no table; E_USAGE when it would shrink
 */
export function growTable(
	graph: Graph,
	name: string,
	rows: number,
	seed = 1,
): Graph {
	const table = graph.initializers.get(name);
	if (table?.dtype !== "float32" || table.dims.length !== 2)
		throw new WattvoxError("E_MODEL", `${name} is no table of embeddings`);
	const [before = 0, width = 0] = table.dims;
	if (!Number.isInteger(rows) || rows < before)
		throw new WattvoxError(
			"E_USAGE",
			`${name} has ${before} rows: it grows, it does not become ${rows}`,
		);
	const old = table.data as Float32Array;
	const data = new Float32Array(rows * width);
	data.set(old);
	const random = seededRandom(seed);
	for (let j = 0; j < width; j++) {
		let [sum, squares] = [0, 0];
		for (let i = 0; i < before; i++) {
			const v = old[i * width + j] ?? 0;
			sum += v / before;
			squares += (v * v) / before;
		}
		const spread = Math.sqrt(Math.max(0, squares - sum * sum));
		for (let i = before; i < rows; i++)
			data[i * width + j] = sum + 0.1 * spread * normal(random);
	}
	return {
		...graph,
		initializers: new Map(graph.initializers).set(
			name,
			floats(data, [rows, width]),
		),
	};
}
