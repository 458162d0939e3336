import { normal, seededRandom } from "@wattvox/models";
import {
	type Dim,
	emptyGraph,
	floats,
	GraphBuilder,
	int64s,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import test from "ava";
import { checkGradients } from "./check.ts";

// Blocks as other frameworks' exporters write them: shapes that are read, cut and joined when the graph
// runs, normalisation and activations in parts, masks from triangles.

/** A model under construction with exporter's habits, and the values of its inputs. */
class Exported {
	readonly random = seededRandom(11);
	readonly b: GraphBuilder;
	readonly feeds: Record<string, Tensor> = {};
	constructor(opset: number) {
		this.b = new GraphBuilder(emptyGraph("exported", opset));
	}
	#draw = (dims: readonly number[], std: number) =>
		floats(
			Array.from(
				{ length: dims.reduce((p, q) => p * q, 1) },
				() => std * normal(this.random),
			),
			dims,
		);
	input(name: string, shape: Dim[], dims: number[]): Value {
		this.feeds[name] = this.#draw(dims, 1);
		return this.b.input(name, "float32", shape);
	}
	indices(name: string, shape: Dim[], dims: number[], below: number): Value {
		const size = dims.reduce((p, q) => p * q, 1);
		this.feeds[name] = int64s(
			Array.from({ length: size }, (_, i) => (i * 5 + 1) % below),
			dims,
		);
		return this.b.input(name, "int64", shape);
	}
	weight = (name: string, ...dims: number[]): Value =>
		this.b.weight(name, this.#draw(dims, 0.5));
	index = (i: number): Value => this.b.constant({ ...int64s([i]), dims: [] });
	/** Shape -> Gather -> Unsqueeze: one size of a value. */
	size(v: Value, i: number): Value {
		const one = this.b.op("Gather", [this.b.op("Shape", [v]), this.index(i)]);
		return this.b.op("Unsqueeze", [one, this.b.ints([0])]);
	}
	view(v: Value, ...sizes: (Value | number)[]): Value {
		const parts = sizes.map((s) =>
			typeof s === "number" ? this.b.ints([s]) : s,
		);
		return this.b.op("Reshape", [v, this.b.concat(parts, 0)]);
	}
	/** ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, Mul, Add. */
	layerNorm(x: Value, name: string, width: number): Value {
		const { b } = this;
		const off = b.sub(x, b.mean(x, [-1], 1));
		const spread = b.mean(b.op("Pow", [off, b.scalar(2)]), [-1], 1);
		const unit = b.div(off, b.op("Sqrt", [b.affine(spread, 1, 1e-5)]));
		return b.add(
			b.mul(unit, this.weight(`${name}.weight`, width)),
			this.weight(`${name}.bias`, width),
		);
	}
	/** x (1 + erf(x / sqrt 2)) / 2, in parts. */
	gelu(x: Value): Value {
		const { b } = this;
		const erf = b.op("Erf", [b.div(x, b.scalar(Math.SQRT2))]);
		return b.affine(b.mul(x, b.affine(erf, 1, 1)), 0.5);
	}
	linear(x: Value, name: string, from: number, to: number): Value {
		const w = this.b.transpose(this.weight(`${name}.weight`, to, from), [1, 0]);
		return this.b.add(this.b.matmul(x, w), this.weight(`${name}.bias`, to));
	}
	async check(y: Value) {
		const wrt = [
			...[...this.b.graph.initializers.keys()].filter((n) => n.includes(".")),
			...this.b.graph.inputs
				.filter((v) => v.dtype === "float32")
				.map((v) => v.name),
		];
		const report = await checkGradients(this.b.graph, {
			of: y.name,
			wrt,
			feeds: this.feeds,
			directions: 4,
			unit: (_, x) => 0.3 * (Math.hypot(...x) / Math.sqrt(x.length) + 0.1),
		});
		return { ...report, parameters: wrt.length };
	}
}

const [WIDTH, HEADS, VOCAB, LONGEST] = [8, 2, 11, 6];
const HEAD = WIDTH / HEADS;

const STYLES: Record<string, (m: Exported) => Value> = {
	"a GPT block: embeddings by Gather, causal mask by Trilu and Where, heads by Split":
		(m) => {
			const { b } = m;
			const ids = m.indices("ids", ["batch", "seq"], [2, 4], VOCAB);
			const table = m.weight("wte.weight", VOCAB, WIDTH);
			const seq = m.size(ids, 1);
			// Positions: 0 to seq - 1, as a table cut to length.
			const places = b.op("Slice", [
				m.weight("wpe.weight", LONGEST, WIDTH),
				b.ints([0]),
				seq,
				b.ints([0]),
			]);
			const x = b.add(b.op("Gather", [table, ids]), places);
			const h = m.layerNorm(x, "ln", WIDTH);
			const qkv = m.linear(h, "attn", WIDTH, 3 * WIDTH);
			const parts = b.ops("Split", [qkv, b.ints([WIDTH, WIDTH, WIDTH])], 3, {
				axis: 2,
			}) as [Value, Value, Value];
			const [q, k, v] = parts.map((p) =>
				b.transpose(
					m.view(p, m.size(p, 0), m.size(p, 1), HEADS, HEAD),
					[0, 2, 1, 3],
				),
			) as [Value, Value, Value];
			const scores = b.div(
				b.matmul(q, b.transpose(k, [0, 1, 3, 2])),
				b.scalar(Math.sqrt(HEAD)),
			);
			const square = b.op("ConstantOfShape", [b.concat([seq, seq], 0)], {
				value: { kind: "tensor", value: floats([1]) },
			});
			const seen = b.cast(b.op("Trilu", [square], { upper: 0 }), "bool");
			const masked = b.op("Where", [seen, scores, b.scalar(-1e9)]);
			const mixed = b.matmul(b.op("Softmax", [masked], { axis: -1 }), v);
			const flat = m.view(
				b.transpose(mixed, [0, 2, 1, 3]),
				m.size(ids, 0),
				m.size(ids, 1),
				WIDTH,
			);
			const y = b.add(x, m.linear(flat, "proj", WIDTH, WIDTH));
			const wide = m.linear(m.layerNorm(y, "ln2", WIDTH), "fc", WIDTH, 12);
			const out = b.add(y, m.linear(m.gelu(wide), "out", 12, WIDTH));
			// Tied to the embeddings.
			return b.matmul(out, b.transpose(table, [1, 0]));
		},
	"attention by Einsum with rotary positions, grouped keys and an RMS norm in parts":
		(m) => {
			const { b } = m;
			const x = m.input("x", ["B", "T", WIDTH], [2, 3, WIDTH]);
			const power = b.mean(b.op("Pow", [x, b.scalar(2)]), [-1], 1);
			const unit = b.mul(
				x,
				b.op("Reciprocal", [b.op("Sqrt", [b.affine(power, 1, 1e-6)])]),
			);
			const h = b.mul(unit, m.weight("norm.weight", WIDTH));
			const project = (name: string, heads: number) =>
				b.op("Einsum", [h, m.weight(`${name}.weight`, WIDTH, heads, HEAD)], {
					equation: "btd,dhe->bthe",
				});
			// cos and sin of position times frequency, from a Range as long as x.
			const length = b.op("Squeeze", [m.size(x, 1), b.ints([0])]);
			const steps = b.cast(
				b.op("Range", [m.index(0), length, m.index(1)]),
				"float32",
			);
			const angle = b.op("Einsum", [steps, b.constant(floats([1, 0.1]))], {
				equation: "t,f->tf",
			});
			const wide = b.op("Unsqueeze", [
				b.concat([angle, angle], 1),
				b.ints([1]),
			]);
			const turned = (v: Value) => {
				const first = b.slice(v, 3, 0, HEAD / 2);
				const second = b.slice(v, 3, HEAD / 2);
				const half = b.concat([b.op("Neg", [second]), first], 3);
				return b.add(
					b.mul(v, b.op("Cos", [wide])),
					b.mul(half, b.op("Sin", [wide])),
				);
			};
			const q = turned(project("q", HEADS));
			// One head of keys and values serves all: expanded as x.expand(-1, -1, heads, -1) is.
			const shared = (v: Value) =>
				b.op("Expand", [
					v,
					b.concat([m.size(x, 0), m.size(x, 1), b.ints([HEADS, HEAD])], 0),
				]);
			const k = shared(turned(project("k", 1)));
			const v = shared(project("v", 1));
			const scores = b.op("Einsum", [q, k], { equation: "bqhe,bkhe->bhqk" });
			const p = b.op("Softmax", [b.affine(scores, 1 / Math.sqrt(HEAD))], {
				axis: -1,
			});
			const mixed = b.op("Einsum", [p, v], { equation: "bhqk,bkhe->bqhe" });
			return b.op("Einsum", [mixed, m.weight("o.weight", HEADS, HEAD, WIDTH)], {
				equation: "bthe,hed->btd",
			});
		},
	"a ViT block: patches by reshaping, a class token by Expand and Concat, read out by Gather":
		(m) => {
			const { b } = m;
			const image = m.input("image", ["batch", 3, 4, 4], [2, 3, 4, 4]);
			const batch = m.size(image, 0);
			const cells = m.view(image, batch, 3, 2, 2, 2, 2);
			const patches = m.view(
				b.transpose(cells, [0, 2, 4, 1, 3, 5]),
				batch,
				4,
				12,
			);
			const tokens = m.linear(patches, "embed", 12, WIDTH);
			const cls = m.weight("cls.token", 1, 1, WIDTH);
			// expand(batch, -1, -1): -1 keeps a size.
			const wanted = b.concat([batch, b.ints([-1, -1])], 0);
			const ones = b.op("ConstantOfShape", [b.op("Shape", [wanted])], {
				value: { kind: "tensor", value: int64s([1]) },
			});
			const target = b.op("Where", [
				b.op("Equal", [wanted, b.op("Mul", [ones, b.ints([-1])])]),
				ones,
				wanted,
			]);
			const all = b.concat([b.op("Expand", [cls, target]), tokens], 1);
			const x = b.add(all, m.weight("pos.embed", 1, 5, WIDTH));
			const h = m.layerNorm(x, "norm1", WIDTH);
			const qkv = b.transpose(
				m.view(
					m.linear(h, "qkv", WIDTH, 3 * WIDTH),
					batch,
					m.size(h, 1),
					3,
					HEADS,
					HEAD,
				),
				[2, 0, 3, 1, 4],
			);
			const [q, k, v] = [0, 1, 2].map((i) =>
				b.op("Gather", [qkv, m.index(i)], { axis: 0 }),
			) as [Value, Value, Value];
			const scores = b.affine(
				b.matmul(q, b.transpose(k, [0, 1, 3, 2])),
				HEAD ** -0.5,
			);
			const mixed = b.transpose(
				b.matmul(b.op("Softmax", [scores], { axis: -1 }), v),
				[0, 2, 1, 3],
			);
			const flat = m.view(mixed, batch, m.size(mixed, 1), -1);
			const y = b.add(x, m.linear(flat, "proj", WIDTH, WIDTH));
			const z = b.add(
				y,
				m.linear(
					m.gelu(m.linear(m.layerNorm(y, "norm2", WIDTH), "fc1", WIDTH, 10)),
					"fc2",
					10,
					WIDTH,
				),
			);
			return b.op("Gather", [z, m.index(0)], { axis: 1 });
		},
	"a text classifier: padding mask from lengths, mean over what counts, cross-entropy":
		(m) => {
			const { b } = m;
			const ids = m.indices("ids", ["N", "L"], [3, 5], VOCAB);
			const lengths = m.indices("lengths", ["N", 1], [3, 1], 5);
			const labels = m.indices("labels", ["N"], [3], 4);
			const x = b.op("Gather", [m.weight("emb.weight", VOCAB, WIDTH), ids]);
			const length = b.op("Squeeze", [m.size(ids, 1), b.ints([0])]);
			const places = b.op("Range", [m.index(0), length, m.index(1)]);
			const padded = b.op("Greater", [
				b.op("Unsqueeze", [places, b.ints([0])]),
				lengths,
			]);
			const kept = b.op("Unsqueeze", [
				b.sub(b.scalar(1), b.cast(padded, "float32")),
				b.ints([-1]),
			]);
			const count = b.op("Clip", [b.sum(kept, [1]), b.scalar(1)]);
			const mean = b.div(b.sum(b.mul(x, kept), [1]), count);
			const peak = b.op("ReduceLogSumExp", [x], { keepdims: 0, axes: [1] });
			const [low] = b.ops("TopK", [b.add(mean, peak), b.ints([3])], 2) as [
				Value,
				Value,
			];
			const logits = m.linear(
				b.concat([mean, b.op("HardSwish", [low])], 1),
				"head",
				WIDTH + 3,
				4,
			);
			return b.op("SoftmaxCrossEntropyLoss", [logits, labels]);
		},
};

for (const [name, build] of Object.entries(STYLES))
	test.serial(
		`${name}: gradients are what finite differences give`,
		async (t) => {
			const m = new Exported(17);
			const y = build(m);
			t.truthy(y.shape, "the chains of sizes are followed");
			const report = await m.check(y);
			t.log(
				`[${y.shape}], ${report.parameters} parameters, worst ${report.worst.error.toExponential(1)}`,
			);
			t.deepEqual(report.failures, []);
		},
	);
