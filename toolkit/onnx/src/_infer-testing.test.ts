import type { TestFn } from "ava";
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import {
	type DType,
	emptyGraph,
	encodeModel,
	GraphBuilder,
	int64s,
	isFresh,
	type Value,
} from "./index.ts";
import type { Dim } from "./types.ts";

/** Draws a graph's inputs and settings; in symbolic mode sizes above 1 get the symbol `N<size>`. */
export class Draw {
	readonly feeds: Record<string, ort.Tensor> = {};
	readonly b: GraphBuilder;
	readonly symbolic: boolean;
	/** True once a setting was fed at run time, or is one that inference leaves open: then a shape may be unknown. */
	computed = false;
	readonly #g: fc.GeneratorValue;
	constructor(g: fc.GeneratorValue, opset: number) {
		this.#g = g;
		this.symbolic = this.flag();
		this.b = new GraphBuilder(emptyGraph("case", opset));
	}
	int = (min: number, max: number): number => this.#g(fc.integer, { min, max });
	flag = (): boolean => this.#g(fc.boolean);
	pick = <T>(list: readonly T[]): T => list[this.int(0, list.length - 1)] as T;
	shape(min = 0, max = 4): number[] {
		return Array.from({ length: this.int(min, max) }, () => this.int(1, 4));
	}
	/** A shape that broadcasts with `shape`. */
	partner(shape: readonly number[]): number[] {
		const own = shape.map((d) => (this.int(0, 2) ? d : 1));
		return own.slice(this.int(0, own.length));
	}
	/** An axis of a rank, counted from the front or the back. */
	axis(rank: number): number {
		return this.int(-rank, rank - 1);
	}
	/** Distinct axes from the front. */
	axes(rank: number, min = 0): number[] {
		const all = Array.from({ length: rank }, (_, i) => i);
		const some = all.filter(() => this.flag());
		return some.length >= min ? some : all;
	}
	input(dtype: DType, dims: readonly number[], fill = () => 1): Value {
		const name = `in${this.b.graph.inputs.length}`;
		const size = dims.reduce((a, b) => a * b, 1);
		const values = Array.from({ length: size }, fill);
		const data =
			dtype === "float32"
				? Float32Array.from(values)
				: dtype === "bool"
					? Uint8Array.from(values)
					: BigInt64Array.from(values.map(BigInt));
		this.feeds[name] = new ort.Tensor(
			dtype as "float32",
			data as Float32Array,
			dims,
		);
		const shape = dims.map((d): Dim => (this.symbolic && d > 1 ? `N${d}` : d));
		return this.b.input(name, dtype, shape);
	}
	float(dims: readonly number[]): Value {
		return this.input("float32", dims, () => this.int(1, 9) / 4);
	}
	indices(dims: readonly number[], below: number): Value {
		return this.input("int64", dims, () => this.int(-below, below - 1));
	}
	bool(dims: readonly number[]): Value {
		return this.input("bool", dims, () => this.int(0, 1));
	}
	/** Integers that set an operator: mostly constant, now and then fed at run time. */
	setting(values: readonly number[]): Value {
		if (this.int(0, 4)) return this.b.ints(values);
		this.computed = true;
		const name = `in${this.b.graph.inputs.length}`;
		const { data } = int64s(values);
		this.feeds[name] = new ort.Tensor("int64", data, [values.length]);
		return this.b.input(name, "int64", [values.length]);
	}
}

/** A case of an inference rule: builds one node (or more) and returns what it makes. */
export interface InferCase {
	build(d: Draw): Value[];
	opset?: number;
	runs?: number;
}

/**
 * The number behind a size in symbolic mode: `N4` stands for 4, and symbols made of it (dims.ts) for
 * what their formula gives. Undefined for one that inference does not know.
 */
export function known(dim: Dim): number | undefined {
	if (typeof dim === "number") return dim;
	if (isFresh(dim)) return undefined;
	return evaluate(dim.replaceAll(/N(\d+)/g, "$1"));
}

/** Evaluates `+ - * //` and parentheses, with the usual precedence. */
function evaluate(text: string): number {
	const tokens = text.match(/\d+|\/\/|[-+*()]/g) ?? [];
	const atom = (): number => {
		const t = tokens.shift();
		if (t === "-") return -atom();
		if (t !== "(") return Number(t);
		const v = sum();
		tokens.shift();
		return v;
	};
	const term = (): number => {
		let v = atom();
		while (tokens[0] === "*" || tokens[0] === "//")
			v = tokens.shift() === "*" ? v * atom() : Math.floor(v / atom());
		return v;
	};
	const sum = (): number => {
		let v = term();
		while (tokens[0] === "+" || tokens[0] === "-")
			v = tokens.shift() === "+" ? v + term() : v - term();
		return v;
	};
	return sum();
}

/** Draws a case and holds the inferred types against what ONNX Runtime computes. @returns what differs */
export async function checkInference(
	g: fc.GeneratorValue,
	op: string,
	{ build, opset }: InferCase,
): Promise<string[]> {
	const d = new Draw(g, opset ?? 17);
	const outputs = build(d);
	for (const v of outputs) d.b.output(v);
	const session = await ort.InferenceSession.create(encodeModel(d.b.graph), {
		intraOpNumThreads: 1,
		logSeverityLevel: 3,
	});
	const results = await session.run(d.feeds);
	await session.release();
	const wrong: string[] = [];
	for (const v of outputs) {
		const { type, dims } = results[v.name] as ort.Tensor;
		const say = () =>
			wrong.push(`${v.name}: ${v.dtype} [${v.shape}] is ${type} [${dims}]`);
		if (v.dtype !== (type as DType)) say();
		if (!d.symbolic && !d.computed) {
			if (v.shape?.join() !== dims.join()) say();
			continue;
		}
		if (!v.shape) continue;
		if (v.shape.length !== dims.length) say();
		v.shape.forEach((dim, i) => {
			const size = known(dim);
			// A slice or a pad of a symbol supposes that the size is large enough for it.
			const short = op === "Slice" && dims[i] === 0;
			if (size !== undefined && !short && dims[i] !== size) say();
		});
	}
	return wrong;
}

/** Registers a test for each case, and one that every rule has a case. */
export function inferenceTests(
	test: TestFn,
	cases: Readonly<Record<string, InferCase>>,
	rules: Readonly<Record<string, unknown>>,
): void {
	test("every rule has a case", (t) => {
		t.deepEqual(Object.keys(cases).sort(), Object.keys(rules).sort());
	});
	for (const [op, c] of Object.entries(cases))
		test.serial(
			`${op}: inferred types are what ONNX Runtime computes`,
			async (t) => {
				await fc.assert(
					fc.asyncProperty(fc.gen(), async (g) => {
						t.deepEqual(await checkInference(g, op, c), []);
					}),
					{ numRuns: c.runs ?? 20 },
				);
			},
		);
}
