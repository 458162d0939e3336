import { normal, seededRandom } from "@wattvox/models";
import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	type Tensor,
	type Value,
} from "@wattvox/onnx";

/** Random numbers of a normal distribution. */
export function drawn(dims: readonly number[], seed: number, std = 1): Tensor {
	const random = seededRandom(seed);
	const size = dims.reduce((a, b) => a * b, 1);
	return floats(
		Float32Array.from({ length: size }, () => std * normal(random)),
		dims,
	);
}

/** A small Transformer over [B, T, width] with an output `y`; weights are named as torch names them. */
export function smallTransformer(layers: number, width = 16): Graph {
	const b = new GraphBuilder(emptyGraph("transformer"));
	let seed = 1;
	const linear = (name: string, x: Value, from: number, to: number): Value =>
		b.add(
			b.matmul(
				x,
				b.weight(
					`${name}.weight`,
					drawn([from, to], seed++, 1 / Math.sqrt(from)),
				),
			),
			b.weight(`${name}.bias`, floats(new Float32Array(to))),
		);
	const norm = (name: string, x: Value): Value =>
		b.op("LayerNormalization", [
			x,
			b.weight(`${name}.weight`, floats(new Float32Array(width).fill(1))),
			b.weight(`${name}.bias`, floats(new Float32Array(width))),
		]);
	let h: Value = b.input("x", "float32", ["B", "T", width]);
	for (let l = 0; l < layers; l++) {
		const name = `layers.${l}`;
		const z = norm(`${name}.norm1`, h);
		const [q, k, v] = ["q", "k", "v"].map((n) =>
			linear(`${name}.${n}_proj`, z, width, width),
		) as [Value, Value, Value];
		const scores = b.affine(
			b.matmul(q, b.transpose(k, [0, 2, 1])),
			1 / Math.sqrt(width),
		);
		const mixed = b.matmul(b.op("Softmax", [scores]), v);
		h = b.add(h, linear(`${name}.o_proj`, mixed, width, width));
		const u = linear(`${name}.fc1`, norm(`${name}.norm2`, h), width, 4 * width);
		h = b.add(h, linear(`${name}.fc2`, b.op("Tanh", [u]), 4 * width, width));
	}
	b.output(h, "y");
	return b.graph;
}

/** Largest difference over tensors of equal names, relative to the largest number. */
export function furthest(
	a: ReadonlyMap<string, Tensor>,
	b: ReadonlyMap<string, Tensor>,
): number {
	let [most, size] = [0, 0];
	for (const [name, { data }] of a)
		for (const [i, e] of data.entries()) {
			const gap = Math.abs(Number(e) - Number(b.get(name)?.data[i]));
			most = Number.isNaN(gap) ? Number.POSITIVE_INFINITY : Math.max(most, gap);
			size = Math.max(size, Math.abs(Number(e)));
		}
	return most / size;
}
