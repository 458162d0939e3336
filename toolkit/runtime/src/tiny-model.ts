// A few ONNX models, encoded by hand, for the contract suite: this package must not depend on the
// graph builder, which stands beside it and not below.

type Bytes = number[];

function varint(n: number | bigint): Bytes {
	let v = BigInt.asUintN(64, BigInt(n));
	const out: Bytes = [];
	do {
		const low = Number(v & 127n);
		v >>= 7n;
		out.push(v > 0n ? low | 128 : low);
	} while (v > 0n);
	return out;
}

const int = (field: number, n: number): Bytes => [
	...varint(field << 3),
	...varint(n),
];
const len = (field: number, body: Bytes | string): Bytes => {
	const bytes = typeof body === "string" ? [...Buffer.from(body)] : body;
	return [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];
};

/** Field numbers of onnx.proto stand beside each use. */
function valueInfo(
	name: string,
	type: number,
	dims: (number | string)[],
): Bytes {
	const shape = dims.flatMap((d) =>
		len(1, typeof d === "number" ? int(1, d) : len(2, d)),
	);
	const tensor = [...int(1, type), ...len(2, shape)];
	return [...len(1, name), ...len(2, len(1, tensor))];
}

interface TinyNode {
	op: string;
	inputs: string[];
	outputs: string[];
}

/** Element types of onnx.proto used here. */
export const FLOAT = 1;
export const INT64 = 7;

/** A one-dimensional float32 initialiser: TensorProto's dims, data_type, name and raw_data. */
function initialiser(name: string, values: readonly number[]): Bytes {
	const raw = [...new Uint8Array(Float32Array.from(values).buffer)];
	return [
		...int(1, values.length),
		...int(2, FLOAT),
		...len(8, name),
		...len(9, raw),
	];
}

/** Serialises a small model (opset 17). `values`: [name, element type, dims]. */
export function tinyModel(graph: {
	nodes: TinyNode[];
	/** Float32 vectors by name. */
	initialisers?: Record<string, readonly number[]>;
	inputs: [string, number, (number | string)[]][];
	outputs: [string, number, (number | string)[]][];
}): Uint8Array {
	const body = [
		...graph.nodes.flatMap((n) =>
			len(1, [
				...n.inputs.flatMap((i) => len(1, i)),
				...n.outputs.flatMap((o) => len(2, o)),
				...len(4, n.op),
			]),
		),
		...len(2, "tiny"),
		...Object.entries(graph.initialisers ?? {}).flatMap(([name, values]) =>
			len(5, initialiser(name, values)),
		),
		...graph.inputs.flatMap((v) => len(11, valueInfo(...v))),
		...graph.outputs.flatMap((v) => len(12, valueInfo(...v))),
	];
	return Uint8Array.from([
		...int(1, 8), // ir_version
		...len(7, body), // graph
		...len(8, int(2, 17)), // opset_import
	]);
}

/** sum = a + b, product = a * b over float32 [1, N]; twice = n + n over int64 [N]. */
export function arithmetic(): Uint8Array {
	return tinyModel({
		nodes: [
			{ op: "Add", inputs: ["a", "b"], outputs: ["sum"] },
			{ op: "Mul", inputs: ["a", "b"], outputs: ["product"] },
			{ op: "Add", inputs: ["n", "n"], outputs: ["twice"] },
		],
		inputs: [
			["a", FLOAT, [1, "N"]],
			["b", FLOAT, [1, "N"]],
			["n", INT64, ["N"]],
		],
		outputs: [
			["sum", FLOAT, [1, "N"]],
			["product", FLOAT, [1, "N"]],
			["twice", INT64, ["N"]],
		],
	});
}

/** y = x multiplied by itself `times` times, float32 [N, N]: as much work as a test wants. */
export function heavy(times: number): Uint8Array {
	const name = (i: number) => (i === times ? "y" : `h${i}`);
	return tinyModel({
		nodes: Array.from({ length: times }, (_, i) => ({
			op: "MatMul",
			inputs: [i === 0 ? "x" : name(i), "x"],
			outputs: [name(i + 1)],
		})),
		inputs: [["x", FLOAT, ["N", "N"]]],
		outputs: [["y", FLOAT, ["N", "N"]]],
	});
}

/**
 * y = scale * x + shift over float32 [2], with scale [2, 3] and shift [10, 20] as initialisers.
 * @param op the operator that multiplies; another one to have it refused
 */
export function affine(op = "Mul"): Uint8Array {
	return tinyModel({
		nodes: [
			{ op, inputs: ["x", "scale"], outputs: ["scaled"] },
			{ op: "Add", inputs: ["scaled", "shift"], outputs: ["y"] },
		],
		initialisers: { scale: [2, 3], shift: [10, 20] },
		inputs: [["x", FLOAT, [2]]],
		outputs: [["y", FLOAT, [2]]],
	});
}
