import test from "ava";
import {
	type Draw,
	type InferCase,
	inferenceTests,
} from "./_infer-testing.test.ts";
import { floats, type GraphBuilder, int64s, sizeOf } from "./index.ts";
import { spatialRules } from "./infer-spatial.ts";

const weights = (d: Draw, dims: readonly number[]) =>
	d.b.constant(floats(new Float32Array(sizeOf(dims)), dims));
const some = (d: Draw, n: number, lo: number, hi: number): number[] =>
	Array.from({ length: n }, () => d.int(lo, hi));
const AUTO = ["SAME_UPPER", "SAME_LOWER", "VALID"] as const;
type Attrs = Parameters<GraphBuilder["op"]>[2];

/** Padding as an operator over `rank` axes may be given it. */
function padding(d: Draw, rank: number, dilations = true): Attrs {
	if (d.int(0, 2) === 0) return { auto_pad: d.pick(AUTO) };
	return {
		...(dilations && d.flag() ? { dilations: some(d, rank, 1, 2) } : {}),
		pads: [...some(d, rank, 0, 2), ...some(d, rank, 0, 2)],
	};
}

const pool =
	(op: string, opset: number): InferCase["build"] =>
	(d) => {
		const rank = d.int(1, 2);
		const kernel_shape = some(d, rank, 2, 3);
		// ONNX Runtime refuses pads as large as the kernel.
		const pads = Array.from({ length: 2 * rank }, () => d.int(0, 1));
		return d.b.ops(
			op,
			[d.float([d.int(1, 2), 2, ...some(d, rank, 5, 9)])],
			op === "MaxPool" ? d.int(1, 2) : 1,
			{
				kernel_shape,
				ceil_mode: d.int(0, 1),
				...(d.flag() ? { strides: some(d, rank, 1, 3) } : {}),
				...(opset >= 19 && d.flag() ? { dilations: some(d, rank, 1, 2) } : {}),
				...(d.int(0, 2)
					? { pads }
					: opset >= 19
						? {}
						: { auto_pad: d.pick(AUTO), ceil_mode: 0 }),
			},
		);
	};

const CASES: Record<string, InferCase> = {
	Conv: {
		build: (d) => {
			const rank = d.int(1, 3);
			const kernel = some(d, rank, 1, 3);
			const group = d.int(1, 2);
			const [inner, outer] = [d.int(1, 2), d.int(1, 2)];
			return [
				d.b.op(
					"Conv",
					[
						d.float([d.int(1, 2), inner * group, ...some(d, rank, 5, 9)]),
						weights(d, [outer * group, inner, ...kernel]),
					],
					{
						group,
						...(d.flag() ? { strides: some(d, rank, 1, 3) } : {}),
						...padding(d, rank),
					},
				),
			];
		},
	},
	ConvTranspose: {
		build: (d) => {
			const rank = d.int(1, 2);
			const kernel = some(d, rank, 1, 4);
			const strides = some(d, rank, 1, 3);
			const group = d.int(1, 2);
			const [inner, outer] = [d.int(1, 2), d.int(1, 2)];
			const sizes = some(d, rank, 3, 5);
			const full = sizes.map(
				(v, i) => (v - 1) * (strides[i] ?? 1) + (kernel[i] ?? 1),
			);
			const shaped = d.int(0, 3) === 0;
			return [
				d.b.op(
					"ConvTranspose",
					[
						d.float([d.int(1, 2), inner * group, ...sizes]),
						weights(d, [inner * group, outer, ...kernel]),
					],
					shaped
						? {
								group,
								strides,
								output_shape: full.map((v, i) =>
									Math.max(sizes[i] ?? 0, v - d.int(0, 2)),
								),
							}
						: {
								group,
								strides,
								output_padding: strides.map((s) => d.int(0, s - 1)),
								...(d.int(0, 2)
									? { pads: some(d, 2 * rank, 0, 1) }
									: { auto_pad: d.pick(AUTO) }),
							},
				),
			];
		},
	},
	AveragePool: { build: pool("AveragePool", 19), opset: 19 },
	MaxPool: { build: pool("MaxPool", 17) },
	GlobalAveragePool: {
		build: (d) => [
			d.b.op("GlobalAveragePool", [d.float([2, 3, ...some(d, 2, 1, 4)])]),
		],
	},
	GlobalMaxPool: {
		build: (d) => [d.b.op("GlobalMaxPool", [d.float([2, d.int(1, 3), 4])])],
	},
	Resize: {
		opset: 18,
		build: (d) => {
			const sizes = some(d, 2, 2, 4);
			const x = d.float([d.int(1, 2), 2, ...sizes]);
			const axes = d.flag();
			const lead = axes ? [] : [1, 1];
			const attrs = {
				mode: d.pick(["nearest", "linear"]),
				...(axes ? { axes: [2, 3] } : {}),
			};
			if (d.flag()) {
				const factors = floats([
					...lead,
					...sizes.map(() => d.pick([1, 2, 3, 0.5, 1.3])),
				]);
				return [d.b.op("Resize", [x, undefined, d.b.constant(factors)], attrs)];
			}
			const first = x.shape?.[0];
			const wanted = [
				...(axes ? [] : [Number(String(first).replace("N", "")), 2]),
				...some(d, 2, 1, 6),
			];
			return [
				d.b.op(
					"Resize",
					[x, undefined, undefined, d.b.constant(int64s(wanted))],
					attrs,
				),
			];
		},
	},
	DepthToSpace: {
		build: (d) => [
			d.b.op("DepthToSpace", [d.float([1, 8, ...some(d, 2, 1, 4)])], {
				blocksize: 2,
				mode: d.pick(["DCR", "CRD"]),
			}),
		],
	},
	SpaceToDepth: {
		build: (d) => [
			d.b.op(
				"SpaceToDepth",
				[d.float([1, 2, ...some(d, 2, 1, 4).map((v) => 2 * v)])],
				{ blocksize: 2 },
			),
		],
	},
	STFT: {
		build: (d) => {
			const n = d.int(2, 8);
			const x = d.float([d.int(1, 3), n + d.int(0, 9), 1]);
			const whole = (v: number) => d.b.constant(int64s([v], []));
			const inputs = [x, whole(d.int(1, 4)), undefined, whole(n)];
			return [d.b.op("STFT", inputs, { onesided: d.int(0, 1) })];
		},
	},
	GridSample: {
		build: (d) => {
			const batch = d.int(1, 3);
			const x = d.float([batch, 2, ...some(d, 2, 1, 4)]);
			const grid = d.float([batch, ...some(d, 2, 1, 4), 2]);
			return [d.b.op("GridSample", [x, grid])];
		},
	},
	Col2Im: {
		opset: 18,
		build: (d) => {
			const block = some(d, 2, 1, 3);
			const [h, w] = block as [number, number];
			const steps = d.int(1, 3);
			const x = d.float([d.int(1, 3), 2 * h * w, steps]);
			const image = [h + steps - 1, w];
			return [d.b.op("Col2Im", [x, d.setting(image), d.b.ints(block)])];
		},
	},
};

inferenceTests(test, CASES, spatialRules);
