import { seededRandom } from "@wattvox/models";
import {
	type Dim,
	emptyGraph,
	encodeModel,
	floats,
	type Graph,
	GraphBuilder,
	int64s,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import * as ort from "onnxruntime-node";
import { checkGradients } from "./check.ts";
import { differentiate } from "./differentiate.ts";

/** A case of a rule: builds one node, its inputs drawn at random, and returns what it makes. */
export type Case = (d: Draw) => Value;

/** How the values of an input are drawn. */
export interface Range {
	/** Smallest and largest size (0.1 to 2: clear of the kinks at 0). */
	size?: [number, number];
	/** Positive only. */
	positive?: boolean;
	/** Every value drawn so differs from every other by 0.1 at least: for rules that compare. */
	apart?: boolean;
	/** Signs by turns: neighbours never deviate little from their mean, where differences lose accuracy. */
	alternating?: boolean;
	/** Axes whose sizes rules need to know: never symbolic. */
	fixed?: number[] | "all";
}

/**
 * Draws the inputs and settings of a case from random choices. In every other draw the sizes above 1
 * are symbols: equal sizes get equal ones.
 */
export class Draw {
	readonly feeds: Record<string, Tensor> = {};
	readonly wrt: string[] = [];
	readonly b: GraphBuilder;
	readonly symbolic: boolean;
	readonly #choose: (min: number, max: number) => number;
	readonly #random: () => number;
	#steps: number[] = [];

	/** @param choose an integer between two, both included */
	constructor(choose: (min: number, max: number) => number, opset = 17) {
		this.#choose = choose;
		this.symbolic = this.flag();
		this.#random = seededRandom(choose(0, 0x7fffffff));
		this.b = new GraphBuilder(emptyGraph("case", opset));
	}

	int = (min: number, max: number): number => this.#choose(min, max);
	flag = (): boolean => this.int(0, 1) === 1;
	pick = <T>(list: readonly T[]): T => list[this.int(0, list.length - 1)] as T;
	list = (length: number, min: number, max: number): number[] =>
		Array.from({ length }, () => this.int(min, max));
	shape(min = 0, max = 3): number[] {
		return this.list(this.int(min, max), 1, 4);
	}
	/** A shape that broadcasts to `shape`. */
	partner(shape: readonly number[]): number[] {
		return shape
			.map((d) => (this.int(0, 2) ? d : 1))
			.slice(this.int(0, shape.length));
	}
	axis = (rank: number): number => this.int(-rank, rank - 1);
	/** Some axes of a rank, at least `min`, some counted from the back. */
	axes(rank: number, min = 0): number[] {
		const all = Array.from({ length: rank }, (_, i) => i);
		const some = all.filter(() => this.flag());
		return (some.length >= min ? some : all).map(
			(a) => a - (this.flag() ? rank : 0),
		);
	}

	/** An input that is differentiated; now and then one that is not. */
	active(dims: readonly number[], range: Range = {}): Value {
		const name = `x${this.b.graph.inputs.length}`;
		const size = dims.reduce((a, b) => a * b, 1);
		const data = Float32Array.from({ length: size }, (_, i) =>
			this.#value(range, i),
		);
		this.feeds[name] = floats(data, dims);
		if (!this.wrt.length || this.int(0, 4)) this.wrt.push(name);
		const known = new Set(
			range.fixed === "all"
				? dims.keys()
				: range.fixed?.map((a) => (a < 0 ? a + dims.length : a)),
		);
		return this.b.input(
			name,
			"float32",
			dims.map(
				(d, i): Dim => (this.symbolic && d > 1 && !known.has(i) ? `N${d}` : d),
			),
		);
	}

	#value(
		{ size: [lo, hi] = [0.1, 2], positive, apart, alternating }: Range,
		index: number,
	): number {
		if (apart) {
			// Steps of a grid, each taken once.
			if (!this.#steps.length)
				this.#steps = Array.from({ length: 400 }, (_, i) => i);
			const at = Math.floor(this.#random() * this.#steps.length);
			return ((this.#steps.splice(at, 1)[0] ?? 0) - 200) / 10;
		}
		if (alternating) return (index % 2 ? -1 : 1) * (0.5 + 1.5 * this.#random());
		const sign = positive || this.#random() < 0.5 ? 1 : -1;
		return sign * (lo + (hi - lo) * this.#random());
	}

	/** Two inputs that broadcast to one shape, in either order; now and then one value twice. */
	pair(first: Range = {}, second: Range = first): [Value, Value] {
		const shape = this.shape();
		const mixed = shape.map((d) => (this.int(0, 2) ? d : 1));
		if (first === second && !first.apart && this.int(0, 5) === 0) {
			const x = this.active(shape, first);
			return [x, x];
		}
		return this.flag()
			? [this.active(mixed, first), this.active(this.partner(shape), second)]
			: [this.active(this.partner(shape), first), this.active(mixed, second)];
	}

	/** Row numbers from the front or the back, duplicates among them. */
	indices(dims: readonly number[], below: number): Value {
		const name = `x${this.b.graph.inputs.length}`;
		const values = this.list(
			dims.reduce((a, b) => a * b, 1),
			-below,
			below - 1,
		);
		this.feeds[name] = int64s(values, dims);
		return this.b.input(name, "int64", dims);
	}
	/** Integers that set an operator, fed when the graph runs. */
	setting(values: readonly number[], dims = [values.length]): Value {
		const name = `x${this.b.graph.inputs.length}`;
		this.feeds[name] = int64s(values, dims);
		return this.b.input(name, "int64", dims);
	}
	/** An integer that sets an operator: constant, now and then fed. */
	scalarSetting(value: number): Value {
		return this.int(0, 2)
			? this.b.constant(int64s([value], []))
			: this.setting([value], []);
	}
	/** A mask that is no gradient's business. */
	bool(dims: readonly number[]): Value {
		const x = `x${this.b.graph.inputs.length}`;
		const size = dims.reduce((a, b) => a * b, 1);
		const data = Uint8Array.from({ length: size }, () => this.int(0, 1));
		this.feeds[x] = { dtype: "bool", dims: [...dims], data };
		return this.b.input(x, "bool", dims);
	}
}

/** Checks one draw of a case. @returns a description of what deviates, or undefined */
export async function checkCase(
	d: Draw,
	build: Case,
	tolerance = 2e-3,
): Promise<string | undefined> {
	const said = (what: unknown): string => {
		const nodes = d.b.graph.nodes.map((n) => JSON.stringify(n)).join("\n");
		const inputs = d.b.graph.inputs
			.map((v) => `${v.name} [${v.shape}] = ${d.feeds[v.name]?.data}`)
			.join("\n");
		return `${nodes}\n${inputs}\n${what}`;
	};
	try {
		const report = await checkGradients(d.b.graph, {
			of: build(d).name,
			wrt: d.wrt,
			feeds: d.feeds,
			directions: 1,
			elements: 24,
			tolerance,
		});
		return report.failures.length
			? said(JSON.stringify(report.failures.slice(0, 3)))
			: undefined;
	} catch (error) {
		return said((error as Error).stack);
	}
}

/** The gradients of a value's sum, computed on ONNX Runtime; undefined where it does not depend on one. */
export async function gradientsAt(
	graph: Graph,
	of: string,
	wrt: readonly string[],
	feeds: Readonly<Record<string, Tensor>>,
	threads = 1,
): Promise<(number[] | undefined)[]> {
	const { builder, gradients } = differentiate(graph, of, wrt);
	builder.graph.outputs = [];
	const names = wrt.map((name) => {
		const g = gradients.get(name);
		return g && builder.output(g, `d.${name}`).name;
	});
	if (!builder.graph.outputs.length) return names.map(() => undefined);
	const session = await ort.InferenceSession.create(
		encodeModel(builder.graph),
		{
			intraOpNumThreads: threads,
			logSeverityLevel: 3,
		},
	);
	const out = await session.run(
		Object.fromEntries(
			session.inputNames.map((name) => {
				const { dtype, data, dims } = feeds[name] as Tensor;
				return [
					name,
					new ort.Tensor(dtype as "float32", data as Float32Array, dims),
				];
			}),
		),
	);
	await session.release();
	return names.map(
		(name) => name && Array.from(out[name]?.data as Float32Array),
	) as (number[] | undefined)[];
}

/**
 * Builds a case once and computes its gradients with one thread and with four. @returns the largest
 * difference, relative to the largest element of each gradient
 */
export async function threadDifference(
	build: (d: Draw) => Value,
	opset = 17,
): Promise<number> {
	const random = seededRandom(11);
	// The smallest choice each time: sizes are fixed, options as the case gives them.
	const d = new Draw(
		(min, max) => (max > 1000 ? Math.floor(random() * max) : min),
		opset,
	);
	const y = build(d);
	const [one, four] = [
		await gradientsAt(d.b.graph, y.name, d.wrt, d.feeds, 1),
		await gradientsAt(d.b.graph, y.name, d.wrt, d.feeds, 4),
	];
	let worst = 0;
	one.forEach((a, i) => {
		if (!a) return;
		const scale = a.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30);
		for (const [j, v] of a.entries())
			worst = Math.max(worst, Math.abs(v - (four[i]?.[j] ?? NaN)) / scale);
	});
	return worst;
}
