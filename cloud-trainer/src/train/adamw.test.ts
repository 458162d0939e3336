import { normal, seededRandom } from "@wattvox/models";
import {
	encodeModel,
	floats,
	type Graph,
	GraphBuilder,
	type Tensor,
} from "@wattvox/onnx";
import test from "ava";
import * as ort from "onnxruntime-node";
import {
	ADAMW,
	type AdamWOptions,
	adamWScalars,
	GRADIENT_NORM,
} from "./adamw.ts";
import { trainingGraph } from "./training-graph.ts";

const [ROWS, IN, OUT] = [4, 3, 2];

/** loss = mean((x W + b - y)^2); also a parameter that the loss does not reach. */
function regression(random: () => number): Graph {
	const draw = (n: number) => Array.from({ length: n }, () => normal(random));
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["B", IN]);
	const y = b.input("y", "float32", ["B", OUT]);
	const w = b.weight("w", floats(draw(IN * OUT), [IN, OUT]));
	const bias = b.weight("b", floats(draw(OUT)));
	b.weight("idle", floats([1, 2]));
	const e = b.sub(b.add(b.matmul(x, w), bias), y);
	b.output(b.mean(b.mul(e, e)), "loss");
	return b.graph;
}

interface Plain {
	w: number[];
	b: number[];
}

/** Gradients of `regression` by hand, in float64. */
function slopes(p: Plain, x: number[], y: number[]): Plain {
	const g: Plain = { w: p.w.map(() => 0), b: p.b.map(() => 0) };
	for (let r = 0; r < ROWS; r++)
		for (let o = 0; o < OUT; o++) {
			let e = (p.b[o] ?? 0) - (y[r * OUT + o] ?? 0);
			for (let i = 0; i < IN; i++)
				e += (x[r * IN + i] ?? 0) * (p.w[i * OUT + o] ?? 0);
			const d = (2 * e) / (ROWS * OUT);
			g.b[o] = (g.b[o] ?? 0) + d;
			for (let i = 0; i < IN; i++)
				g.w[i * OUT + o] = (g.w[i * OUT + o] ?? 0) + d * (x[r * IN + i] ?? 0);
		}
	return g;
}

/** AdamW as its authors write it (arXiv 1711.05101, algorithm 2), after clipping; in float64. */
class Reference {
	readonly p: Plain;
	readonly #m: Plain;
	readonly #v: Plain;
	readonly #o: AdamWOptions;
	readonly #rates: (name: string) => number;
	#t = 0;
	constructor(p: Plain, o: AdamWOptions, rates: (name: string) => number) {
		this.p = p;
		this.#m = { w: p.w.map(() => 0), b: p.b.map(() => 0) };
		this.#v = { w: p.w.map(() => 0), b: p.b.map(() => 0) };
		this.#o = o;
		this.#rates = rates;
	}
	/** One step; returns the gradient's norm before clipping. */
	step(g: Plain, lr: number): number {
		const o = this.#o;
		this.#t++;
		const norm = Math.hypot(...g.w, ...g.b);
		const scale = Math.min(1, o.clip / norm);
		for (const name of ["w", "b"] as const)
			for (const [i, raw] of g[name].entries()) {
				const clipped = raw * scale;
				const [m, v] = [this.#m[name], this.#v[name]];
				m[i] = o.beta1 * (m[i] ?? 0) + (1 - o.beta1) * clipped;
				v[i] = o.beta2 * (v[i] ?? 0) + (1 - o.beta2) * clipped ** 2;
				const mHat = (m[i] ?? 0) / (1 - o.beta1 ** this.#t);
				const vHat = (v[i] ?? 0) / (1 - o.beta2 ** this.#t);
				const w = this.p[name][i] ?? 0;
				const decay = name === "w" ? o.weightDecay : 0;
				const rate = lr * this.#rates(name);
				this.p[name][i] =
					w - rate * (mHat / (Math.sqrt(vHat) + o.epsilon) + decay * w);
			}
		return norm;
	}
}

const toOrt = (t: Tensor) =>
	new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.dims);

const SETTINGS: [string, Partial<AdamWOptions>, (name: string) => number][] = [
	["as it is", {}, () => 1],
	["every gradient clipped", { clip: 0.01 }, () => 1],
	["no gradient clipped", { clip: 1e6 }, () => 1],
	["heavy decay", { weightDecay: 0.5 }, () => 1],
	["no decay", { weightDecay: 0 }, () => 1],
	["other betas", { beta1: 0.5, beta2: 0.9, epsilon: 1e-3 }, () => 1],
	["a rate for each", {}, (name) => (name === "b" ? 4 : 0.25)],
];

for (const [what, settings, rates] of SETTINGS)
	test(`twelve steps are those of a plain AdamW: ${what}`, async (t) => {
		const random = seededRandom(3);
		const options = { ...ADAMW, ...settings };
		const graph = regression(random);
		const training = trainingGraph(
			graph,
			"loss",
			["w", "b", "idle"],
			options,
			rates,
		);
		t.deepEqual(training.slots.map((s) => s.input).sort(), [
			"b",
			"m.b",
			"m.w",
			"v.b",
			"v.w",
			"w",
		]);
		const session = await ort.InferenceSession.create(
			encodeModel(training.graph),
			{ logSeverityLevel: 3 },
		);
		const numbers = (name: string) =>
			Array.from(training.state.get(name)?.data as Float32Array);
		const reference = new Reference(
			{ w: numbers("w"), b: numbers("b") },
			options,
			rates,
		);
		const state = new Map([...training.state].map(([k, v]) => [k, toOrt(v)]));
		for (let step = 1; step <= 12; step++) {
			const lr = 0.05 / step;
			const draw = (n: number) =>
				Array.from({ length: n }, () => normal(random));
			const [x, y] = [draw(ROWS * IN), draw(ROWS * OUT)];
			const scalars = Object.entries(adamWScalars(lr, step, options));
			const out = await session.run({
				...Object.fromEntries(state),
				...Object.fromEntries(scalars.map(([k, v]) => [k, toOrt(v)])),
				x: toOrt(floats(x, [ROWS, IN])),
				y: toOrt(floats(y, [ROWS, OUT])),
			});
			const norm = reference.step(slopes(reference.p, x, y), lr);
			const near = (got: number, want: number, of: string) =>
				// float32 against float64 over a dozen steps.
				t.true(
					Math.abs(got - want) <= 2e-5 * (1 + Math.abs(want)),
					`${of}: ${got}, not ${want}`,
				);
			near(Number(out[GRADIENT_NORM]?.data[0]), norm, `norm of step ${step}`);
			for (const { input, output } of training.slots)
				state.set(input, out[output] as ReturnType<typeof toOrt>);
			for (const name of ["w", "b"] as const)
				for (const [i, want] of reference.p[name].entries())
					near(
						Number(state.get(name)?.data[i]),
						want,
						`${name}[${i}] of step ${step}`,
					);
		}
		await session.release();
	});

test("a parameter that the loss does not reach stays in the graph as it was", (t) => {
	const { graph } = trainingGraph(regression(seededRandom(1)), "loss", [
		"w",
		"idle",
	]);
	t.deepEqual(graph.initializers.get("idle"), floats([1, 2]));
	t.false(graph.inputs.some((v) => v.name === "idle"));
	t.true(graph.inputs.some((v) => v.name === "w"));
});

test("what cannot be trained is named", (t) => {
	const graph = regression(seededRandom(1));
	t.throws(() => trainingGraph(graph, "loss", ["w", "ghost"]), {
		code: "E_MODEL",
		message: /ghost/,
	});
	graph.initializers.set("half", {
		dtype: "float16",
		dims: [1],
		data: new Uint16Array(1),
	});
	t.throws(() => trainingGraph(graph, "loss", ["half"]), {
		code: "E_MODEL",
		message: /half is float16/,
	});
});
