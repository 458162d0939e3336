import { WattvoxError } from "@wattvox/core";
import { seededRandom } from "@wattvox/models";
import {
	encodeModel,
	type Graph,
	GraphBuilder,
	inferTypes,
	sizeOf,
	type Tensor,
} from "@wattvox/onnx";
import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { differentiate } from "./differentiate.ts";
import { liftParameters } from "./lift.ts";

/** What a gradient check is given. */
export interface GradientCheckOptions {
	/** Name of the float32 value to differentiate, of any shape. */
	of: string;
	/** Inputs or initialisers, float32. */
	wrt: readonly string[];
	/** Values of the graph's inputs. */
	feeds: Readonly<Record<string, Tensor>>;
	/** Random directions through all of `wrt` at once (2). */
	directions?: number;
	/** Each element is moved alone where `wrt` holds at most so many elements (64). */
	elements?: number;
	/** Largest move of an element, as a multiple of its tensor's `unit` (0.02). */
	step?: number;
	/** Size that counts as one for a tensor (1 for every tensor). */
	unit?: (name: string, values: Float32Array) => number;
	/** Largest relative deviation (0.002; see {@link checkGradients}). */
	tolerance?: number;
	seed?: number;
}

/** One comparison: <J v, u> from finite differences against <v, J^T u> from the derived graph. */
export interface GradientDeviation {
	/** `direction 0`, or the element as `name[index]`. */
	where: string;
	numeric: number;
	analytic: number;
	/** Their difference, relative to the size that such a sum has by chance. */
	error: number;
}

/** What a gradient check found. */
export interface GradientReport {
	comparisons: number;
	/** The comparison that deviates most. */
	worst: GradientDeviation;
	/** All that deviate by more than the tolerance. */
	failures: GradientDeviation[];
}

type Values = Map<string, Float32Array>;
type Feeds = Readonly<Record<string, Tensor>>;

/** ONNX Runtime, loaded on first use: training itself keeps it out of this thread. */
class Runner {
	readonly #session: InferenceSession;
	readonly #tensor: (t: Tensor) => OrtTensor;
	constructor(session: InferenceSession, tensor: (t: Tensor) => OrtTensor) {
		this.#session = session;
		this.#tensor = tensor;
	}
	static async open(graph: Graph): Promise<Runner> {
		const ort = await import("onnxruntime-node");
		const session = await ort.InferenceSession.create(encodeModel(graph), {
			intraOpNumThreads: 1,
			interOpNumThreads: 1,
			logSeverityLevel: 3,
		});
		return new Runner(
			session,
			(t) =>
				new ort.Tensor(t.dtype as "float32", t.data as Float32Array, t.dims),
		);
	}
	/** Runs with those of `feeds` that the graph takes, and `moved` in place of some. */
	async run(feeds: Feeds, moved?: Values): Promise<Record<string, OrtTensor>> {
		const inputs: Record<string, OrtTensor> = {};
		for (const name of this.#session.inputNames) {
			const t = feeds[name];
			if (!t) throw new WattvoxError("E_MODEL", `${name} is not fed`);
			inputs[name] = this.#tensor({ ...t, data: moved?.get(name) ?? t.data });
		}
		return this.#session.run(inputs);
	}
	close = (): Promise<void> => this.#session.release();
}

const WEIGHTS = "check.u";

/**
 * Holds the gradients that {@link differentiate} derives against finite differences, on ONNX Runtime.
 *
 * With y(x) the value, u random weights of y's shape and v a move of x, the adjoint identity
 * <J v, u> = <v, J^T u> must hold. J^T u is what the derived graph computes. J v is taken from central
 * differences at h and h/2 with Richardson's extrapolation, (4 D(h/2) - D(h)) / 3, whose own error is
 * of order h^4: at h = 0.02 and values of order 1 that is below 1e-6. What is left is rounding: y is
 * float32, so D is off by some 6e-8 |y| / h * 3 = 1e-5 |y|. Errors are relative to
 * |u o J v| + 0.01 |u o y|, the size of the sum; the default tolerance of 2e-3 is 2e-5 |u o y| where
 * the derivative vanishes, just above that rounding, and far below what a wrong rule gives (one wrong
 * element among n shifts the sum by about 1/sqrt(n) of its size).
 *
 * Values must lie farther from kinks (0 of Relu, ties of Max) than `step`.
 * @throws WattvoxError E_OP_UNSUPPORTED as differentiate does; E_MODEL when a gradient's shape is not
 * its value's
 */
export async function checkGradients(
	graph: Graph,
	o: GradientCheckOptions,
): Promise<GradientReport> {
	const lifted = liftParameters(graph, o.wrt);
	const feeds: Record<string, Tensor> = {
		...Object.fromEntries(lifted.values),
		...o.feeds,
	};
	const at: Values = new Map(
		o.wrt.map((name) => {
			const tensor = feeds[name];
			if (tensor?.dtype !== "float32")
				throw new WattvoxError("E_MODEL", `${name} has no float32 value`);
			return [name, tensor.data as Float32Array];
		}),
	);
	const forward = await Runner.open({
		...lifted.graph,
		outputs: [asOutput(lifted.graph, o.of)],
	});
	let backward: Runner | undefined;
	try {
		backward = await Runner.open(backwardGraph(lifted.graph, o.of, o.wrt));
		const random = seededRandom(o.seed ?? 1);
		const run = async (x?: Values) =>
			(await forward.run(feeds, x))[o.of] as OrtTensor;
		const { data, dims } = await run();
		const y = data as Float32Array;
		const u = y.map(() => signed(random));
		const weights: Tensor = { dtype: "float32", dims: [...dims], data: u };
		const out = await backward.run({ ...feeds, [WEIGHTS]: weights });
		const gradients: Values = new Map(
			o.wrt.map((name) => [name, gradientOf(out, name, feeds[name] as Tensor)]),
		);
		const check = new Check(
			async (x) => (await run(x)).data as Float32Array,
			{ at, y, u, gradients },
			o,
		);
		await check.all(random);
		return check.report(o.tolerance ?? 2e-3);
	} finally {
		await forward.close();
		await backward?.close();
	}
}

/** The type of any value, as an output. */
function asOutput(graph: Graph, name: string) {
	return new GraphBuilder(graph, inferTypes(graph)).value(name);
}

/** A graph from inputs and `check.u` to the gradients of sum(u o y), as `check.grad.NAME`. */
function backwardGraph(
	graph: Graph,
	of: string,
	wrt: readonly string[],
): Graph {
	const copy: Graph = {
		...graph,
		inputs: [...graph.inputs],
		nodes: [...graph.nodes],
		initializers: new Map(graph.initializers),
	};
	const b = new GraphBuilder(copy, inferTypes(copy));
	const y = b.value(of);
	if (!y.shape)
		throw new WattvoxError("E_MODEL", `the rank of ${of} is unknown`);
	const loss = b.sum(b.mul(y, b.input(WEIGHTS, "float32", y.shape)));
	const { builder, gradients } = differentiate(copy, loss.name, wrt);
	builder.graph.outputs = [];
	for (const [name, g] of gradients)
		if (g) builder.output(g, `check.grad.${name}`);
	// With nothing to give out there is no graph to run: then the loss stands in.
	if (!builder.graph.outputs.length) builder.output(loss);
	return builder.graph;
}

/** A gradient by name; zeros where the value does not depend on it. */
function gradientOf(
	out: Record<string, OrtTensor>,
	name: string,
	{ dims }: Tensor,
): Float32Array {
	const g = out[`check.grad.${name}`];
	if (g && g.dims.join() !== dims.join())
		throw new WattvoxError(
			"E_MODEL",
			`the gradient of ${name} is [${g.dims}], the value [${dims}]`,
		);
	return (g?.data as Float32Array) ?? new Float32Array(sizeOf(dims));
}

/** A random number of size 0.5 to 1: no move is negligible, none exceeds the step. */
const signed = (random: () => number): number =>
	(random() < 0.5 ? -1 : 1) * (0.5 + random() / 2);

/** Where the check stands: the point, the value and its weights there, and what the rules derived. */
interface Point {
	at: Values;
	y: Float32Array;
	u: Float32Array;
	gradients: Values;
}

class Check {
	readonly #run: (x: Values) => Promise<Float32Array>;
	readonly #p: Point;
	readonly #floor: number;
	readonly #o: GradientCheckOptions;
	readonly #found: GradientDeviation[] = [];

	constructor(
		run: (x: Values) => Promise<Float32Array>,
		point: Point,
		o: GradientCheckOptions,
	) {
		this.#run = run;
		this.#p = point;
		this.#floor = 0.01 * Math.hypot(...products(point.u, point.y));
		this.#o = o;
	}

	async all(random: () => number): Promise<void> {
		for (let i = 0; i < (this.#o.directions ?? 2); i++) {
			const move: Values = new Map();
			for (const [name, x] of this.#p.at) {
				const unit = this.#unit(name, x);
				move.set(
					name,
					Float32Array.from(x, () => unit * signed(random)),
				);
			}
			await this.#compare(`direction ${i}`, move);
		}
		let total = 0;
		for (const x of this.#p.at.values()) total += x.length;
		if (total > (this.#o.elements ?? 64)) return;
		for (const [name, x] of this.#p.at)
			for (let i = 0; i < x.length; i++) {
				const move = new Float32Array(x.length);
				move[i] = this.#unit(name, x);
				await this.#compare(`${name}[${i}]`, new Map([[name, move]]));
			}
	}

	#unit = (name: string, x: Float32Array): number =>
		this.#o.unit?.(name, x) ?? 1;

	async #compare(where: string, move: Values): Promise<void> {
		const h = this.#o.step ?? 0.02;
		const wide = await this.#central(move, h);
		const narrow = await this.#central(move, h / 2);
		let [numeric, size] = [0, 0];
		for (const [i, u] of this.#p.u.entries()) {
			const jv = (4 * (narrow[i] ?? 0) - (wide[i] ?? 0)) / 3;
			numeric += u * jv;
			size += (u * jv) ** 2;
		}
		let analytic = 0;
		for (const [name, v] of move)
			for (const p of products(v, this.#p.gradients.get(name) ?? v))
				analytic += p;
		const scale = Math.sqrt(size) + this.#floor + Number.MIN_VALUE;
		const error = Math.abs(numeric - analytic) / scale;
		this.#found.push({ where, numeric, analytic, error });
	}

	/** (y(x + h v) - y(x - h v)) / 2h, in float64. */
	async #central(move: Values, h: number): Promise<Float64Array> {
		const moved = (by: number): Values =>
			new Map(
				[...this.#p.at].map(([name, x]) => {
					const v = move.get(name);
					return [name, v ? x.map((e, i) => e + by * (v[i] ?? 0)) : x];
				}),
			);
		const up = await this.#run(moved(h));
		const down = await this.#run(moved(-h));
		return Float64Array.from(up, (e, i) => (e - (down[i] ?? 0)) / (2 * h));
	}

	report(tolerance: number): GradientReport {
		// An error that is not a number is a failure as well.
		const failures = this.#found.filter((d) => !(d.error <= tolerance));
		const worst = this.#found.reduce((a, b) =>
			a.error >= b.error || Number.isNaN(a.error) ? a : b,
		);
		return { comparisons: this.#found.length, worst, failures };
	}
}

const products = (a: Float32Array, b: Float32Array): number[] =>
	Array.from(a, (e, i) => e * (b[i] ?? 0));
