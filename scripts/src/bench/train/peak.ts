import { emptyGraph, encodeModel, GraphBuilder } from "@wattvox/onnx";
import { InferenceSession, Tensor } from "onnxruntime-node";

/** Best of some products of square matrices on ONNX Runtime, GFLOP/s: the machine's peak, as far as it gives it. */
export async function matmulPeak(
	threads: number,
	size = 1024,
	rounds = 8,
): Promise<number> {
	const b = new GraphBuilder(emptyGraph("matmul"));
	const [x, w] = ["x", "w"].map((n) => b.input(n, "float32", [size, size]));
	if (x && w) b.output(b.matmul(x, w), "y");
	const session = await InferenceSession.create(encodeModel(b.graph), {
		intraOpNumThreads: threads,
		interOpNumThreads: 1,
	});
	try {
		const full = () =>
			new Tensor(
				"float32",
				Float32Array.from({ length: size * size }, Math.random),
				[size, size],
			);
		const feeds = { x: full(), w: full() };
		// Written in place: what is timed is the product, not a copy of its result.
		const fetches = {
			y: new Tensor("float32", new Float32Array(size * size), [size, size]),
		};
		let best = Number.POSITIVE_INFINITY;
		for (let i = 0; i < rounds; i++) {
			const began = performance.now();
			await session.run(feeds, fetches);
			best = Math.min(best, performance.now() - began);
		}
		return (2 * size ** 3) / (best / 1e3) / 1e9;
	} finally {
		await session.release();
	}
}
