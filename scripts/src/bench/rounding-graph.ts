import {
	type Graph,
	inferTypes,
	type Node,
	scalar,
	type ValueType,
} from "@wattvox/onnx";

/** What computes a product on a GPU's tensor cores; the rest is elementwise. */
const PRODUCTS = ["MatMul", "Gemm", "Conv", "ConvTranspose"];

/**
 * A graph whose values are rounded to fewer significant bits before they are used, as a lower precision does;
 * the arithmetic itself stays in single precision. With `k = 2^(24-bits) + 1` the rounded value of x is
 * `kx - (kx - x)` (Dekker 1971, "A floating-point technique for extending the available precision", 5.7).
 * Ranges stay those of single precision: what overflows in half does not show.
 * @param bits significant ones: 11 for TF32 and half, 8 for bfloat16
 * @param what "products": what goes into matrix products and convolutions; "all": what goes into any node
 */
export function roundedGraph(
	graph: Graph,
	bits: number,
	what: "products" | "all",
): Graph {
	const types = inferTypes(graph);
	const initializers = new Map(graph.initializers);
	initializers.set("rounding.k", scalar(2 ** (24 - bits) + 1));
	const nodes: Node[] = [];
	const rounded = new Map<string, string>();
	const round = (name: string): string => {
		const known = rounded.get(name);
		if (known !== undefined) return known;
		const made = (as: string) => `rounding.${rounded.size}.${as}`;
		const steps = [
			["Mul", name, "rounding.k", made("kx")],
			["Sub", made("kx"), name, made("over")],
			["Sub", made("kx"), made("over"), made("y")],
		] as const;
		for (const [op, a, b, y] of steps)
			nodes.push({
				...{ op, domain: "", name: y, inputs: [a, b], outputs: [y] },
				attrs: {},
			});
		rounded.set(name, made("y"));
		return rounded.get(name) as string;
	};
	for (const node of graph.nodes) {
		const concerns = what === "all" || PRODUCTS.includes(node.op);
		const inputs = node.inputs.map((name) =>
			concerns && isSingle(types.get(name)) ? round(name) : name,
		);
		nodes.push({ ...node, inputs });
	}
	return { ...graph, nodes, initializers };
}

const isSingle = (type: ValueType | undefined) => type?.dtype === "float32";
