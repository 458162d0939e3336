import { normal, seededRandom } from "@wattvox/models";
import {
	type Dim,
	emptyGraph,
	floats,
	GraphBuilder,
	int64s,
	sizeOf,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import test from "ava";
import { checkGradients } from "./check.ts";

// Small models in the styles of vocoders, image networks and taggers from elsewhere, whole.

/** A model under construction, and the values of its inputs. */
class Lab {
	readonly random = seededRandom(5);
	readonly b: GraphBuilder;
	readonly feeds: Record<string, Tensor> = {};
	constructor(opset: number) {
		this.b = new GraphBuilder(emptyGraph("model", opset));
	}
	draw = (dims: readonly number[], std: number, mean = 0): Tensor =>
		floats(
			Array.from(
				{ length: sizeOf(dims) },
				() => mean + std * normal(this.random),
			),
			dims,
		);
	input(name: string, shape: Dim[], dims: number[]): Value {
		this.feeds[name] = this.draw(dims, 1);
		return this.b.input(name, "float32", shape);
	}
	weight(name: string, dims: number[], mean = 0): Value {
		const fan = sizeOf(dims.slice(1)) || 1;
		return this.b.weight(name, this.draw(dims, 1 / Math.sqrt(fan), mean));
	}
	/** A convolution with a bias. */
	conv(
		name: string,
		x: Value,
		[inner, outer, ...kernel]: [number, number, ...number[]],
		attrs: Parameters<GraphBuilder["op"]>[2] = {},
	): Value {
		const op = name.startsWith("up") ? "ConvTranspose" : "Conv";
		const dims = op === "Conv" ? [outer, inner] : [inner, outer];
		const w = this.weight(`${name}.w`, [...dims, ...kernel]);
		return this.b.op(op, [x, w, this.weight(`${name}.b`, [outer])], attrs);
	}
	same = (kernel: number, dilation = 1, axes = 1) => ({
		dilations: Array<number>(axes).fill(dilation),
		pads: Array<number>(2 * axes).fill(((kernel - 1) / 2) * dilation),
	});
	batchNorm(name: string, x: Value, width: number): Value {
		const positive = this.draw([width], 0.1, 1);
		return this.b.op("BatchNormalization", [
			x,
			this.weight(`${name}.gain`, [width], 1),
			this.weight(`${name}.offset`, [width]),
			this.b.constant(this.draw([width], 0.3)),
			this.b.constant(positive),
		]);
	}
	/** GroupNormalization as exporters write it before opset 18. */
	groupNorm(name: string, x: Value, groups: number, width: number): Value {
		const { b } = this;
		const flat = b.op("InstanceNormalization", [
			b.reshape(x, [0, groups, -1]),
			b.constant(floats(new Float32Array(groups).fill(1))),
			b.constant(floats(new Float32Array(groups))),
		]);
		const back = b.op("Reshape", [flat, b.op("Shape", [x])]);
		const gain = this.weight(`${name}.gain`, [width, 1, 1], 1);
		const offset = this.weight(`${name}.offset`, [width, 1, 1]);
		return b.add(b.mul(b.assume(back, x.shape ?? []), gain), offset);
	}
}

const MODELS: Record<string, [opset: number, build: (lab: Lab) => Value]> = {
	"a HiFi-GAN generator: transposed convolutions and dilated residual blocks": [
		13,
		(lab) => {
			const { b } = lab;
			const leaky = (v: Value) =>
				b.op("LeakyRelu", [v], { alpha: { kind: "float", value: 0.1 } });
			let x = lab.conv(
				"pre",
				lab.input("mel", ["B", 6, "T"], [2, 6, 5]),
				[6, 8, 7],
				lab.same(7),
			);
			[8, 4].forEach((width, stage) => {
				x = lab.conv(`up${stage}`, leaky(x), [width, width / 2, 8], {
					strides: [4],
					pads: [2, 2],
				});
				const blocks = [3, 5].map((kernel) => {
					let h = x;
					for (const d of [1, 3]) {
						const name = `block${stage}.${kernel}.${d}`;
						const own = width / 2;
						const inner = lab.conv(
							`${name}.a`,
							leaky(h),
							[own, own, kernel],
							lab.same(kernel, d),
						);
						h = b.add(
							h,
							lab.conv(
								`${name}.b`,
								leaky(inner),
								[own, own, kernel],
								lab.same(kernel),
							),
						);
					}
					return h;
				});
				x = b.affine(b.op("Sum", blocks), 0.5);
			});
			return b.op("Tanh", [lab.conv("post", leaky(x), [2, 1, 7], lab.same(7))]);
		},
	],
	"a ResNet: strides, BatchNormalization, MaxPool, a group norm in parts, GlobalAveragePool":
		[
			17,
			(lab) => {
				const { b } = lab;
				const relu = (v: Value) => b.op("Relu", [v]);
				const stem = lab.conv(
					"stem",
					lab.input("image", ["N", 3, 16, 16], [2, 3, 16, 16]),
					[3, 6, 7, 7],
					{ strides: [2, 2], pads: [3, 3, 3, 3] },
				);
				const pooled = b.op("MaxPool", [relu(lab.batchNorm("bn0", stem, 6))], {
					kernel_shape: [3, 3],
					strides: [2, 2],
					pads: [1, 1, 1, 1],
				});
				const half = { strides: [2, 2], pads: [1, 1, 1, 1] };
				const first = relu(
					lab.batchNorm(
						"bn1",
						lab.conv("conv1", pooled, [6, 8, 3, 3], half),
						8,
					),
				);
				const second = lab.groupNorm(
					"gn",
					lab.conv("conv2", first, [8, 8, 3, 3], lab.same(3, 1, 2)),
					2,
					8,
				);
				const aside = lab.batchNorm(
					"bn2",
					lab.conv("side", pooled, [6, 8, 1, 1], { strides: [2, 2] }),
					8,
				);
				const out = b.op("GlobalAveragePool", [relu(b.add(second, aside))]);
				return b.op("Gemm", [
					b.op("Flatten", [out]),
					lab.weight("head.w", [8, 4]),
					lab.weight("head.b", [4]),
				]);
			},
		],
	"a U-Net of any size: pools on the way down, Resize to the skip's size on the way up":
		[
			18,
			(lab) => {
				const { b } = lab;
				const block = (name: string, v: Value, inner: number, outer: number) =>
					b.op("Softplus", [
						b.op("InstanceNormalization", [
							lab.conv(name, v, [inner, outer, 3, 3], lab.same(3, 1, 2)),
							lab.weight(`${name}.gain`, [outer], 1),
							lab.weight(`${name}.offset`, [outer]),
						]),
					]);
				const x = lab.input("image", ["N", 2, "H", "W"], [1, 2, 9, 10]);
				const top = block("top", x, 2, 3);
				const down = b.op("AveragePool", [top], {
					kernel_shape: [2, 2],
					strides: [2, 2],
				});
				const low = block("low", down, 3, 4);
				const sizes = b.slice(b.op("Shape", [top]), 0, 2);
				const up = (mode: string) =>
					b.op("Resize", [low, undefined, undefined, sizes], {
						mode,
						axes: [2, 3],
					});
				const twice = b.op(
					"Resize",
					[
						b.op("DepthToSpace", [low], { blocksize: 2 }),
						undefined,
						undefined,
						sizes,
					],
					{ mode: "nearest", axes: [2, 3] },
				);
				const joined = b.concat([top, up("nearest"), up("linear"), twice], 1);
				return lab.conv("out", block("end", joined, 12, 3), [3, 1, 1, 1]);
			},
		],
	"a tagger: embeddings, a GRU in both directions, an LSTM behind it": [
		17,
		(lab) => {
			const { b } = lab;
			const words = Array.from({ length: 8 }, (_, i) => (i * 3) % 5);
			lab.feeds.words = int64s(words, [2, 4]);
			const vectors = b.op("Gather", [
				lab.weight("embedding", [5, 3]),
				b.input("words", "int64", ["B", "T"]),
			]);
			const both = b.op(
				"GRU",
				[
					b.transpose(vectors, [1, 0, 2]),
					lab.weight("gru.w", [2, 9, 3]),
					lab.weight("gru.r", [2, 9, 3]),
					lab.weight("gru.b", [2, 18]),
				],
				{ hidden_size: 3, direction: "bidirectional", linear_before_reset: 1 },
			);
			// [T, 2, B, H] -> [T, B, 2 H], as exporters do.
			const joined = b.reshape(b.transpose(both, [0, 2, 1, 3]), [0, 0, 6]);
			const again = b.op(
				"LSTM",
				[
					joined,
					lab.weight("lstm.w", [1, 8, 6]),
					lab.weight("lstm.r", [1, 8, 2]),
				],
				{ hidden_size: 2 },
			);
			const scores = b.matmul(
				b.op("Squeeze", [again, b.ints([1])]),
				lab.weight("head", [2, 4]),
			);
			return b.op("LogSoftmax", [scores]);
		},
	],
};

for (const [name, [opset, build]] of Object.entries(MODELS))
	test(`${name}: gradients of all parameters and inputs are what finite differences give`, async (t) => {
		const lab = new Lab(opset);
		const y = build(lab);
		const weights = [...lab.b.graph.initializers.keys()].filter(
			(n) => !/const_\d+$/.test(n),
		);
		const inputs = Object.keys(lab.feeds).filter((n) => n !== "words");
		const report = await checkGradients(lab.b.graph, {
			of: y.name,
			wrt: [...weights, ...inputs],
			feeds: lab.feeds,
			directions: 4,
			// Small moves: hundreds of units stand near the kinks of Relu and MaxPool.
			step: 0.004,
			unit: (_, x) => (0.3 * Math.hypot(...x)) / Math.sqrt(x.length),
			tolerance: 1e-2,
		});
		t.log(
			`${weights.length} parameters, worst ${report.worst.error.toExponential(1)}`,
		);
		t.deepEqual(report.failures, []);
	});
