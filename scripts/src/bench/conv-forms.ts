import { differentiate, subgraph } from "@wattvox/cloud-trainer";
import { type Net, seededRandom, unfold } from "@wattvox/models";
import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	type Tensor,
	type Value,
} from "@wattvox/onnx";

/** A convolution over one axis that keeps its length: `batch` examples, as many channels out as in. */
export interface ConvShape {
	batch: number;
	channels: number;
	length: number;
	kernel: number;
	dilation: number;
}

/** Ways to compute one thing; the first is how the trainer does it. */
export interface Contest {
	what: string;
	/** Products of its arithmetic: how many times multiply-and-add of every tap, channel and position. */
	products: number;
	forms: Record<string, (s: ConvShape) => Graph>;
}

const reachOf = (s: ConvShape) => s.dilation * (s.kernel - 1);

/** What forms read: x and the cotangent g [N, C, L], w [C, C, K]; x and g with rows last for products. */
class Form {
	readonly b = new GraphBuilder(emptyGraph("form", 20));
	readonly s: ConvShape;

	constructor(s: ConvShape) {
		this.s = s;
	}

	/** x or g, channels before positions. */
	lines(name: "x" | "g"): Value {
		const { batch, channels, length } = this.s;
		return this.b.input(name, "float32", [batch, channels, length]);
	}

	/** x or g, positions before channels. */
	rows(name: "x" | "g"): Value {
		const { batch, channels, length } = this.s;
		return this.b.input(`${name}.rows`, "float32", [batch, length, channels]);
	}

	get w(): Value {
		const { channels, kernel } = this.s;
		return this.b.input("w", "float32", [channels, channels, kernel]);
	}

	/** w as the product of unfolded rows reads it, [K C, C]. */
	get wRows(): Value {
		const { channels, kernel } = this.s;
		return this.b.input("w.rows", "float32", [kernel * channels, channels]);
	}

	conv(x: Value, w: Value): Value {
		const [dilation, pad] = [this.s.dilation, reachOf(this.s) / 2];
		return this.b.op("Conv", [x, w], {
			dilations: [dilation],
			pads: [pad, pad],
		});
	}

	product(x: Value, w: Value): Value {
		const n: Net = { b: this.b, random: seededRandom(1) };
		return this.b.matmul(unfold(n, x, this.s.kernel, this.s.dilation), w);
	}

	/** y's gradients for some inputs, by the trainer; with y itself where `forward` says so. */
	gradients(y: Value, g: Value, wrt: readonly Value[], forward = false): Graph {
		const loss = this.b.sum(this.b.mul(y, g));
		const names = wrt.map((v) => v.name);
		const d = differentiate(this.b.graph, loss.name, names);
		const made = names.map((n) => (d.gradients.get(n) as Value).name);
		return subgraph(d.builder.graph, forward ? [y.name, ...made] : made);
	}

	/** The graph that makes one value of its inputs. */
	of(y: Value): Graph {
		return subgraph({ ...this.b.graph, outputs: [y] }, [y.name]);
	}

	/** g as a loss's gradient comes: the trainer's forms multiply it once. */
	get cotangent(): Value {
		const g = this.lines("g");
		return this.b.mul(g, this.b.input("one", "float32", []));
	}
}

/** The kernel's gradient with a product for each tap, or one over the slices laid beside each other. */
function bySlices(s: ConvShape, once: boolean): Graph {
	const f = new Form(s);
	const { b } = f;
	const reach = reachOf(s);
	const g = f.cotangent;
	const x = b.pad(f.lines("x"), 2, reach / 2, reach / 2);
	const taps = Array.from({ length: s.kernel }, (_, k) =>
		b.slice(x, 2, k * s.dilation, k * s.dilation + s.length),
	);
	const times = (v: Value) =>
		b.op("FusedMatMul", [g, v], { transB: 1 }, "com.microsoft");
	if (!once) {
		const each = taps.map((v) => b.op("Unsqueeze", [times(v), b.ints([-1])]));
		return f.of(b.sum(b.concat(each, -1), [0]));
	}
	const all = b.sum(times(b.concat(taps, 1)), [0]);
	const byTap = b.reshape(all, [s.channels, s.kernel, s.channels]);
	return f.of(b.transpose(byTap, [0, 2, 1]));
}

/** The kernel's gradient as a convolution: examples as channels, positions as a kernel. */
function swapped(s: ConvShape): Graph {
	const f = new Form(s);
	const turn = (v: Value) => f.b.transpose(v, [1, 0, 2]);
	const pad = reachOf(s) / 2;
	const taps = f.b.op("Conv", [turn(f.lines("x")), turn(f.cotangent)], {
		strides: [s.dilation],
		pads: [pad, pad],
	});
	return f.of(turn(taps));
}

/** The input's gradient as a transposed convolution. */
function transposed(s: ConvShape): Graph {
	const f = new Form(s);
	const two = (v: Value) => f.b.op("Unsqueeze", [v, f.b.ints([2])]);
	const pad = reachOf(s) / 2;
	const y = f.b.op("ConvTranspose", [two(f.cotangent), two(f.w)], {
		dilations: [1, s.dilation],
		pads: [0, pad, 0, pad],
	});
	return f.of(f.b.op("Squeeze", [y, f.b.ints([2])]));
}

const ofKernel = (s: ConvShape): Graph => {
	const f = new Form(s);
	const w = f.w;
	return f.gradients(f.conv(f.lines("x"), w), f.lines("g"), [w]);
};
const ofInput = (s: ConvShape): Graph => {
	const f = new Form(s);
	const x = f.lines("x");
	return f.gradients(f.conv(x, f.w), f.lines("g"), [x]);
};
const wholeConv = (s: ConvShape): Graph => {
	const f = new Form(s);
	const [x, w] = [f.lines("x"), f.w];
	return f.gradients(f.conv(x, w), f.lines("g"), [x, w], true);
};
const wholeRows = (s: ConvShape): Graph => {
	const f = new Form(s);
	const [x, w] = [f.rows("x"), f.wRows];
	return f.gradients(f.product(x, w), f.rows("g"), [x, w], true);
};
const forwardOnly = (rows: boolean) => (s: ConvShape) => {
	const f = new Form(s);
	return f.of(
		rows ? f.product(f.rows("x"), f.wRows) : f.conv(f.lines("x"), f.w),
	);
};

/** All that is compared. */
export const CONTESTS: readonly Contest[] = [
	{
		what: "kernel's gradient",
		products: 1,
		forms: {
			"one product": ofKernel,
			"a product per tap": (s) => bySlices(s, false),
			"one product of slices": (s) => bySlices(s, true),
			"Conv, batch as channels": swapped,
		},
	},
	{
		what: "input's gradient",
		products: 1,
		forms: { "Conv, kernel reversed": ofInput, ConvTranspose: transposed },
	},
	{
		what: "forward",
		products: 1,
		forms: { Conv: forwardOnly(false), "unfold, MatMul": forwardOnly(true) },
	},
	{
		what: "forward and both gradients",
		products: 3,
		forms: { Conv: wholeConv, "unfold, MatMul": wholeRows },
	},
];

/** Values for every input that a form may have: the same numbers in either layout. */
export function formFeeds(s: ConvShape): Record<string, Tensor> {
	const random = seededRandom(1);
	const { batch, channels, length, kernel } = s;
	const drawn = (dims: number[], scale = 1) =>
		floats(
			Float32Array.from(
				{ length: dims.reduce((a, b) => a * b, 1) },
				() => scale * (2 * random() - 1),
			),
			dims,
		);
	const lines = {
		x: drawn([batch, channels, length]),
		g: drawn([batch, channels, length], 1 / length),
	};
	const w = drawn([channels, channels, kernel], 1 / channels);
	return {
		...lines,
		"x.rows": turned(lines.x, [0, 2, 1]),
		"g.rows": turned(lines.g, [0, 2, 1]),
		w,
		"w.rows": floats(turned(w, [2, 1, 0]).data as Float32Array, [
			kernel * channels,
			channels,
		]),
		one: floats([1], []),
	};
}

/** A tensor of three axes, transposed. */
export function turned(t: Tensor, perm: readonly number[]): Tensor {
	const dims = perm.map((p) => t.dims[p] ?? 1);
	const strides = [(t.dims[1] ?? 1) * (t.dims[2] ?? 1), t.dims[2] ?? 1, 1];
	const [a = 0, b = 0, c = 0] = perm.map((p) => strides[p]);
	const [I = 0, J = 0, K = 0] = dims;
	const data = new Float32Array(t.data.length);
	let at = 0;
	for (let i = 0; i < I; i++)
		for (let j = 0; j < J; j++)
			for (let k = 0; k < K; k++)
				data[at++] = Number(t.data[i * a + j * b + k * c]);
	return floats(data, dims);
}
