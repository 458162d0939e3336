import {
	type Attr,
	floatAttr,
	intAttr,
	stringAttr,
	type Value,
} from "@wattvox/onnx";
import {
	type Gates,
	gruBack,
	type Pass,
	rnnBack,
	summedProduct,
} from "./cells.ts";
import { lstmBack } from "./lstm.ts";
import {
	input,
	type Rule,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
} from "./vjp.ts";

/** Where the cells of LSTM differ from the others: inputs and outputs that only it has. */
const [BIAS, LENGTHS, H0, C0, PEEPHOLES] = [3, 4, 5, 6, 7];

const strings = (attr: Attr | undefined): string[] =>
	attr?.kind === "strings" ? attr.value : [];

/** The activations, which must be the operator's own; those of RNN may be Tanh or Relu. */
function activations(c: VjpContext): string[] {
	const { node } = c;
	const given = strings(node.attrs.activations);
	const own =
		node.op === "LSTM"
			? ["Sigmoid", "Tanh", "Tanh"]
			: node.op === "GRU"
				? ["Sigmoid", "Tanh"]
				: ["Tanh"];
	given.forEach((name, i) => {
		const fits =
			name === own[i % own.length] || (node.op === "RNN" && name === "Relu");
		if (!fits) throw unsupported(c, `the activation ${name}`);
	});
	return given.length ? given : own;
}

/** Settings that no rule covers. */
function refuse(c: VjpContext): void {
	const { node } = c;
	if (node.attrs.clip && floatAttr(node, "clip", 0))
		throw unsupported(c, "clipped cells");
	if (intAttr(node, "layout", 0)) throw unsupported(c, "layout 1");
	if (intAttr(node, "input_forget", 0))
		throw unsupported(c, "coupled input and forget gates");
}

/** A layer's sizes, and its values by direction. */
class Layer {
	readonly #c: VjpContext;
	readonly hidden: number;
	readonly inner: number;
	readonly directions: number;
	readonly #y: Value;

	constructor(c: VjpContext) {
		this.#c = c;
		const [directions, , inner] = shapeOf(c, input(c, 1));
		const hidden = shapeOf(c, input(c, 2))[2];
		if (
			typeof directions !== "number" ||
			typeof inner !== "number" ||
			typeof hidden !== "number"
		)
			throw unsupported(c, "the sizes of W and R must be fixed");
		this.directions = directions;
		this.inner = inner;
		this.hidden = hidden;
		this.#y = c.b.extend(c.node, 1)[0] as Value;
	}

	/** One direction of a value whose axis `axis` counts directions. */
	part(v: Value, d: number, axis = 0): Value {
		const { b } = this.#c;
		const own = this.directions > 1 ? b.slice(v, axis, d, d + 1) : v;
		return b.op("Squeeze", [own, b.ints([axis])]);
	}

	/** Zeros [B, H]. */
	zeros(): Value {
		const { b } = this.#c;
		const batch = b.slice(b.op("Shape", [x0(this.#c)]), 0, 1, 2);
		const out = b.op("ConstantOfShape", [
			b.concat([batch, b.ints([this.hidden])], 0),
		]);
		return b.assume(out, [x0(this.#c).shape?.[1] ?? "B", this.hidden]);
	}

	/** 1 where an example still runs, [T, B, 1]. */
	running(): Value | undefined {
		const c = this.#c;
		const { b } = c;
		const lengths = c.inputs[LENGTHS];
		if (!lengths) return undefined;
		const time = b.reshape(b.slice(b.op("Shape", [x0(c)]), 0, 0, 1), []);
		const scalar = (n: bigint) =>
			b.constant({ dtype: "int64", dims: [], data: BigInt64Array.of(n) });
		const steps = b.reshape(
			b.op("Range", [scalar(0n), time, scalar(1n)]),
			[-1, 1, 1],
		);
		const ends = b.reshape(b.cast(lengths, "int64"), [1, -1, 1]);
		const on = b.cast(b.op("Less", [steps, ends]), "float32");
		return b.assume(on, [...shapeOf(c, x0(c)).slice(0, 2), 1]);
	}

	pass(d: number): Pass {
		const c = this.#c;
		const { b } = c;
		const backwards = d === 1 || this.#reversed();
		const y = this.part(this.#y, d, 1);
		const maybe = (v: Value | undefined) => (v ? this.part(v, d) : undefined);
		const h0 = maybe(c.inputs[H0]) ?? this.zeros();
		const running = this.running();
		const bias = maybe(c.inputs[BIAS]);
		const half = bias && Number(bias.shape?.[0]) / 2;
		const gy = c.grads[0] ? this.part(c.grads[0], d, 1) : b.mul(y, b.scalar(0));
		const lstm = c.node.op === "LSTM";
		return {
			b,
			x: x0(c),
			before: this.#before(y, h0, backwards, running),
			after: y,
			w: this.part(input(c, 1), d),
			r: this.part(input(c, 2), d),
			wb: bias && b.slice(bias, 0, 0, half),
			rb: bias && b.slice(bias, 0, half ?? 0),
			gy: running ? b.mul(gy, running) : gy,
			gh: maybe(c.grads[1]) ?? this.zeros(),
			gc: lstm ? (maybe(c.grads[2]) ?? this.zeros()) : undefined,
			c0: lstm ? (maybe(c.inputs[C0]) ?? this.zeros()) : undefined,
			peepholes: lstm ? maybe(c.inputs[PEEPHOLES]) : undefined,
			running,
			backwards,
			hidden: this.hidden,
		};
	}

	/** The hidden state before each step: a neighbour's, or the first one. */
	#before(
		y: Value,
		h0: Value,
		backwards: boolean,
		running: Value | undefined,
	): Value {
		const { b } = this.#c;
		const first = b.op("Unsqueeze", [h0, b.ints([0])]);
		const shifted = backwards
			? b.concat([b.slice(y, 0, 1), first], 0)
			: b.concat([first, b.slice(y, 0, 0, -1)], 0);
		const before = b.assume(shifted, y.shape ?? []);
		if (!running || !backwards) return before;
		// Backwards, an example starts at its own last element: behind it nothing runs.
		const next = b.pad(b.slice(running, 0, 1), 0, 0, 1);
		const on = b.op("Greater", [next, b.scalar(0)]);
		return b.assume(b.op("Where", [on, before, first]), y.shape ?? []);
	}

	#reversed = (): boolean =>
		stringAttr(this.#c.node, "direction", "forward") === "reverse";
}

/** Cotangents of all inputs from the way back through each direction's cells. */
const recurrence =
	(
		gates: number,
		back: (p: Pass, activation: string, c: VjpContext) => Gates,
	): Rule =>
	(c) => {
		refuse(c);
		const { b } = c;
		const names = activations(c);
		const layer = new Layer(c);
		const wide = gates * layer.hidden;
		const perDirection =
			names.length > layer.directions ? names.length / layer.directions : 1;
		const all = Array.from({ length: layer.directions }, (_, d) => {
			const pass = layer.pass(d);
			return {
				pass,
				...back(pass, names[d * perDirection] ?? names[0] ?? "Tanh", c),
			};
		});
		const stack = (
			of: (a: (typeof all)[number]) => Value | undefined,
		): Value | undefined => {
			const parts = all.flatMap((a) => of(a) ?? []);
			if (!parts.length) return undefined;
			return b.concat(
				parts.map((v) => b.op("Unsqueeze", [v, b.ints([0])])),
				0,
			);
		};
		const dx = all
			.map((a) => b.matmul(a.input, a.pass.w))
			.reduce((sum, v) => b.add(sum, v));
		const total = (v: Value) => b.sum(v, [0, 1]);
		return [
			c.needs[0] ? dx : undefined,
			c.needs[1]
				? stack((a) => summedProduct(b, a.input, a.pass.x, [wide, layer.inner]))
				: undefined,
			c.needs[2] ? stack((a) => a.dr) : undefined,
			c.needs[BIAS]
				? stack((a) => b.concat([total(a.input), total(a.state)], 0))
				: undefined,
			undefined,
			c.needs[H0] ? stack((a) => a.dh) : undefined,
			c.needs[C0] ? stack((a) => a.dc) : undefined,
			c.needs[PEEPHOLES] ? stack((a) => a.dp) : undefined,
		];
	};

/**
 * Rules for recurrent layers, in one direction or both. The gates of all steps are computed again at
 * once from the states that the operator gave out; only the cotangents run step by step, in a Scan.
 */
export const recurrent = {
	RNN: recurrence(1, (p, name) => rnnBack(p, name === "Relu")),
	LSTM: recurrence(4, lstmBack),
	GRU: recurrence(3, (p, _, c) =>
		gruBack(p, intAttr(c.node, "linear_before_reset", 0) === 1),
	),
} satisfies Record<string, Rule>;
