import { WattvoxError } from "@wattvox/core";
import { bytesOf } from "./bytes.ts";
import { inferNode, typeOf } from "./infer.ts";
import { int64s, scalar } from "./tensor.ts";
import {
	type Attr,
	type Dim,
	DTYPE_CODE,
	type DType,
	type Graph,
	type Node,
	type Tensor,
	type Value,
	type ValueType,
} from "./types.ts";

/** Attributes as a caller writes them: integers, strings and lists of integers plainly, the rest tagged. */
export type AttrInput = number | string | readonly number[] | Attr;

/** An attribute that is a float even when its value is whole. */
export const float = (value: number): Attr => ({ kind: "float", value });

function toAttr(value: AttrInput): Attr {
	if (typeof value === "number")
		return Number.isInteger(value) ? { kind: "int", value } : float(value);
	if (typeof value === "string") return { kind: "string", value };
	if (Array.isArray(value)) return { kind: "ints", value: [...value] };
	return value as Attr;
}

/** Opset of the graphs we build: the newest that TensorRT 8.5 and ONNX Runtime both read whole. */
export const OPSET = 17;

/** A graph with nothing in it. */
export const emptyGraph = (name: string, opset = OPSET): Graph => ({
	name,
	opsets: { "": opset },
	inputs: [],
	outputs: [],
	nodes: [],
	initializers: new Map(),
	valueInfo: new Map(),
	metadata: {},
});

/**
 * Builds a graph one operation at a time. Every value knows its type at once, so a shape mistake
 * surfaces at the line that makes it.
 */
export class GraphBuilder {
	readonly graph: Graph;
	readonly #types = new Map<string, ValueType>();
	readonly #consts = new Map<string, Value>();
	#serial = 0;
	#scope = "";

	/** Continues `graph` in place when given; `types` are those of its values (inferTypes). */
	constructor(
		graph: Graph = emptyGraph("graph"),
		types: ReadonlyMap<string, ValueType> = new Map(),
	) {
		this.graph = graph;
		for (const [name, type] of types) this.#types.set(name, type);
		for (const v of graph.inputs) this.#types.set(v.name, v);
		for (const [name, t] of graph.initializers)
			this.#types.set(name, typeOf(t));
	}

	/** Runs `body` with `name.` in front of every name made inside. */
	scope<T>(name: string, body: () => T): T {
		const outer = this.#scope;
		this.#scope = `${outer}${name}.`;
		try {
			return body();
		} finally {
			this.#scope = outer;
		}
	}

	/** A name that no value has yet. */
	fresh(hint: string): string {
		let name: string;
		do name = `${this.#scope}${hint}_${this.#serial++}`;
		while (this.#types.has(name));
		return name;
	}

	/** The value of a name. @throws WattvoxError E_MODEL when unknown */
	value(name: string): Value {
		const type = this.#types.get(name);
		if (!type) throw new WattvoxError("E_MODEL", `no value named ${name}`);
		return { ...type, name };
	}

	/** Declares a graph input. */
	input(name: string, dtype: DType, shape: readonly Dim[]): Value {
		const value: Value = { name, dtype, shape: [...shape] };
		this.graph.inputs.push(value);
		this.#types.set(name, value);
		return value;
	}

	/** Adds a named initialiser (a weight); the scope goes in front of its name. */
	weight(name: string, tensor: Tensor): Value {
		return this.#initializer(`${this.#scope}${name}`, tensor);
	}

	/** Takes notice of an initialiser that was put into the graph directly. */
	weightKnown(name: string): Value {
		const tensor = this.graph.initializers.get(name);
		if (!tensor)
			throw new WattvoxError("E_MODEL", `no initialiser named ${name}`);
		const type = typeOf(tensor);
		this.#types.set(name, type);
		return { ...type, name };
	}

	/** An unnamed constant; equal small ones are shared. */
	constant(tensor: Tensor): Value {
		const key =
			tensor.data.length <= 16
				? `${tensor.dtype}[${tensor.dims}]${bytesOf(tensor.data)}`
				: undefined;
		const known = key && this.#consts.get(key);
		if (known) return known;
		const value = this.#initializer(this.fresh("const"), tensor);
		if (key) this.#consts.set(key, value);
		return value;
	}

	/** A float32 scalar constant. */
	scalar(value: number): Value {
		return this.constant(scalar(value));
	}

	/** A one-dimensional int64 constant. */
	ints(values: readonly number[]): Value {
		return this.constant(int64s(values));
	}

	#initializer(name: string, tensor: Tensor): Value {
		if (this.#types.has(name))
			throw new WattvoxError("E_BUG", `the name ${name} is taken`);
		this.graph.initializers.set(name, tensor);
		const type = typeOf(tensor);
		this.#types.set(name, type);
		return { ...type, name };
	}

	/** Adds an operation with one output. Absent optional inputs are undefined. */
	op(
		op: string,
		inputs: readonly (Value | undefined)[],
		attrs: Record<string, AttrInput> = {},
		domain = "",
	): Value {
		return this.ops(op, inputs, 1, attrs, domain)[0] as Value;
	}

	/** Adds an operation with several outputs. */
	ops(
		op: string,
		inputs: readonly (Value | undefined)[],
		count: number,
		attrs: Record<string, AttrInput> = {},
		domain = "",
	): Value[] {
		const outputs = Array.from({ length: count }, () =>
			this.fresh(op.toLowerCase()),
		);
		return this.append({
			op,
			domain,
			name: outputs[0] ?? op,
			inputs: inputs.map((v) => v?.name ?? ""),
			outputs,
			attrs: Object.fromEntries(
				Object.entries(attrs).map(([k, v]) => [k, toAttr(v)]),
			),
		});
	}

	/** Appends a ready node and returns its typed outputs. @throws WattvoxError E_MODEL when no rule types it */
	append(node: Node): Value[] {
		if (node.domain && !(node.domain in this.graph.opsets))
			this.graph.opsets[node.domain] = 1;
		const types = inferNode({
			node,
			types: node.inputs.map((name) => this.#types.get(name)),
			consts: node.inputs.map((name) => this.graph.initializers.get(name)),
			opset: this.graph.opsets[""] ?? OPSET,
		});
		this.graph.nodes.push(node);
		return node.outputs.map((name, i) => {
			const type = types[i] ?? this.#types.get(name);
			if (!type)
				throw new WattvoxError(
					"E_MODEL",
					`the type of ${name} (${node.op}) is unknown`,
				);
			this.#types.set(name, type);
			return { ...type, name };
		});
	}

	/** Asks a node for more of its optional outputs, up to `count`, and returns them all typed. */
	extend(node: Node, count: number): Value[] {
		for (let i = 0; i < count; i++)
			node.outputs[i] ||= this.fresh(`${node.op.toLowerCase()}_extra`);
		const types = inferNode({
			node,
			types: node.inputs.map((name) => this.#types.get(name)),
			consts: node.inputs.map((name) => this.graph.initializers.get(name)),
			opset: this.graph.opsets[""] ?? OPSET,
		});
		return node.outputs.map((name, i) => {
			const type = types[i];
			if (!type)
				throw new WattvoxError(
					"E_MODEL",
					`${node.op} has no output ${i} that we know`,
				);
			this.#types.set(name, type);
			return { ...type, name };
		});
	}

	/** Records a shape that inference could not see. */
	assume(value: Value, shape: readonly Dim[]): Value {
		const known: Value = { ...value, shape: [...shape] };
		this.#types.set(value.name, { dtype: value.dtype, shape: known.shape });
		return known;
	}

	/** Declares a value as a graph output, under another name when one is given. */
	output(value: Value, as?: string): Value {
		let out = value;
		if (as && as !== value.name) {
			this.append({
				op: "Identity",
				domain: "",
				name: as,
				inputs: [value.name],
				outputs: [as],
				attrs: {},
			});
			out = { ...value, name: as };
		}
		this.graph.outputs.push(out);
		return out;
	}

	// The arithmetic that every graph needs, by its usual names.
	add = (a: Value, b: Value): Value => this.op("Add", [a, b]);
	sub = (a: Value, b: Value): Value => this.op("Sub", [a, b]);
	mul = (a: Value, b: Value): Value => this.op("Mul", [a, b]);
	div = (a: Value, b: Value): Value => this.op("Div", [a, b]);
	matmul = (a: Value, b: Value): Value => this.op("MatMul", [a, b]);
	/** x * k + c for numbers k and c. */
	affine(x: Value, k: number, c = 0): Value {
		const scaled = k === 1 ? x : this.mul(x, this.scalar(k));
		return c === 0 ? scaled : this.add(scaled, this.scalar(c));
	}
	reshape = (x: Value, shape: readonly number[]): Value =>
		this.op("Reshape", [x, this.ints(shape)]);
	transpose = (x: Value, perm: readonly number[]): Value =>
		this.op("Transpose", [x], { perm });
	concat = (xs: readonly Value[], axis: number): Value =>
		this.op("Concat", xs, { axis });
	/** x[start:end] along one axis; an end of undefined means to the end. */
	slice(x: Value, axis: number, start: number, end?: number): Value {
		return this.op("Slice", [
			x,
			this.ints([start]),
			this.ints([end ?? 2 ** 31 - 1]),
			this.ints([axis]),
		]);
	}
	/** Zeros before and after along one axis of a value of known rank. */
	pad(x: Value, axis: number, before: number, after: number): Value {
		const rank = x.shape?.length ?? 0;
		const pads = new Array<number>(rank * 2).fill(0);
		pads[axis] = before;
		pads[axis + rank] = after;
		return this.op("Pad", [x, this.ints(pads)]);
	}
	/** Sum over axes (all when empty). */
	sum(x: Value, axes: readonly number[] = [], keepdims = 0): Value {
		return this.op("ReduceSum", axes.length ? [x, this.ints(axes)] : [x], {
			keepdims,
		});
	}
	/** Mean over axes (all when empty). ReduceMean takes axes as an attribute before opset 18. */
	mean(x: Value, axes: readonly number[] = [], keepdims = 0): Value {
		if ((this.graph.opsets[""] ?? OPSET) >= 18)
			return this.op("ReduceMean", axes.length ? [x, this.ints(axes)] : [x], {
				keepdims,
			});
		return this.op("ReduceMean", [x], {
			...(axes.length ? { axes } : {}),
			keepdims,
		});
	}
	cast = (x: Value, to: DType): Value =>
		this.op("Cast", [x], { to: DTYPE_CODE[to] });
}
