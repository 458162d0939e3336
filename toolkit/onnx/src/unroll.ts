import { constantOf } from "./infer.ts";
import { renamed } from "./simplify.ts";
import { int64s } from "./tensor.ts";
import {
	type Attr,
	type Graph,
	intAttr,
	intsAttr,
	type Node,
	type Tensor,
	type ValueType,
} from "./types.ts";

/** Nodes that an unrolled loop may become. */
const MOST_NODES = 20_000;

/** A loop whose steps are known: what each step is given, and where what it makes goes. */
interface Steps {
	body: Graph;
	count: number;
	/** Names of the states at the start; the body's outputs from `from` on are the next ones. */
	states: string[];
	/** What precedes the states among the body's inputs and outputs: Loop's number and condition. */
	lead: number;
	from: number;
	/** Sequences of a Scan: a step reads one element of each. */
	sequences: { name: string; axis: number; backwards: boolean }[];
	/** What the steps give out, put together along an axis. */
	collected: { axis: number; backwards: boolean }[];
}

/**
 * The nodes of a Loop or Scan step by step, where the graph tells how many there are: a Loop whose trip
 * count follows from sizes and constants and whose condition stays true, a Scan over a known size.
 * @param types of the graph's values
 * @returns undefined where the number of steps is not known, or too large
 */
export function unrolled(
	graph: Graph,
	node: Node,
	types: ReadonlyMap<string, ValueType>,
): Pick<Graph, "nodes" | "initializers"> | undefined {
	const steps =
		node.op === "Loop" ? loopSteps(graph, node, types) : scanSteps(node, types);
	if (!steps) return undefined;
	const { body, count, collected } = steps;
	if (count * body.nodes.length > MOST_NODES) return undefined;
	// Without a step nobody knows the shape of what they would have given out.
	if (count === 0 && collected.length) return undefined;
	return new Unroller(node, steps).run();
}

const bodyOf = (node: Node): Graph | undefined => {
	const attr = node.attrs.body;
	return attr?.kind === "graph" ? attr.value : undefined;
};

function loopSteps(
	graph: Graph,
	node: Node,
	types: ReadonlyMap<string, ValueType>,
): Steps | undefined {
	const body = bodyOf(node);
	const [trips = "", condition = "", ...states] = node.inputs;
	const known = (name: string): number | undefined => {
		const value =
			graph.initializers.get(name)?.data[0] ?? types.get(name)?.ints?.[0];
		return value === undefined || typeof value === "string"
			? undefined
			: Number(value);
	};
	const count = known(trips);
	if (!body || count === undefined || (condition && !known(condition)))
		return undefined;
	const stays = (name: string): boolean => {
		if (name === body.inputs[1]?.name) return true;
		const maker = body.nodes.find((n) => n.outputs.includes(name));
		if (maker && /^(Identity|Cast)$/.test(maker.op))
			return stays(maker.inputs[0] ?? "");
		const held = maker ? constantOf(maker) : body.initializers.get(name);
		return held ? Number(held.data[0]) !== 0 : !maker && known(name) === 1;
	};
	if (!stays(body.outputs[0]?.name ?? "")) return undefined;
	const collected = body.outputs.slice(1 + states.length);
	return {
		body,
		count: Math.max(0, count),
		states,
		lead: 2,
		from: 1,
		sequences: [],
		collected: collected.map(() => ({ axis: 0, backwards: false })),
	};
}

function scanSteps(
	node: Node,
	types: ReadonlyMap<string, ValueType>,
): Steps | undefined {
	const body = bodyOf(node);
	const width = intAttr(node, "num_scan_inputs", 0);
	const states = node.inputs.slice(0, node.inputs.length - width);
	const setting = (name: string, i: number) => intsAttr(node, name)?.[i] ?? 0;
	const sequences = node.inputs.slice(states.length).map((name, i) => {
		const rank = types.get(name)?.shape?.length ?? 0;
		const axis = setting("scan_input_axes", i);
		return {
			name,
			axis: axis < 0 ? axis + rank : axis,
			backwards: setting("scan_input_directions", i) === 1,
		};
	});
	const [first] = sequences;
	const count = first && types.get(first.name)?.shape?.[first.axis];
	if (!body || typeof count !== "number") return undefined;
	const collected = body.outputs.slice(states.length).map((_, i) => ({
		axis: setting("scan_output_axes", i),
		backwards: setting("scan_output_directions", i) === 1,
	}));
	return { body, count, states, lead: 0, from: 0, sequences, collected };
}

/** Writes the steps one after another. */
class Unroller {
	readonly #node: Node;
	readonly #s: Steps;
	readonly #prefix: string;
	readonly #nodes: Node[] = [];
	readonly #initializers = new Map<string, Tensor>();

	constructor(node: Node, steps: Steps) {
		this.#node = node;
		this.#s = steps;
		// The first output's name is nobody else's.
		this.#prefix = `${node.outputs.find(Boolean) ?? node.name}#`;
	}

	run(): Pick<Graph, "nodes" | "initializers"> {
		const { body, count, collected } = this.#s;
		for (const [name, t] of body.initializers)
			this.#initializers.set(`${this.#prefix}${name}`, t);
		let states = this.#s.states;
		const given: string[][] = collected.map(() => []);
		for (let i = 0; i < count; i++) {
			const outputs = this.#step(i, states);
			states = outputs.slice(0, states.length);
			outputs.slice(states.length).forEach((name, k) => {
				given[k]?.push(name);
			});
		}
		states.forEach((name, i) => {
			this.#add("Identity", [name], this.#node.outputs[i]);
		});
		given.forEach((names, k) => {
			this.#together(names, k, this.#node.outputs[states.length + k]);
		});
		return { nodes: this.#nodes, initializers: this.#initializers };
	}

	/** Adds one step's nodes. @returns names of its states and of what it gives out */
	#step(i: number, states: readonly string[]): string[] {
		const { body, lead, from, sequences } = this.#s;
		const own = `${this.#prefix}${i}/`;
		const names = new Map<string, string>();
		const [number, condition] = body.inputs;
		if (lead && number) names.set(number.name, this.#number(i));
		if (lead && condition) names.set(condition.name, this.#true());
		body.inputs.slice(lead).forEach(({ name }, k) => {
			const sequence = sequences[k - states.length];
			names.set(name, states[k] ?? `${own}${name}`);
			if (!sequence) return;
			const { count } = this.#s;
			const at = this.#number(sequence.backwards ? count - 1 - i : i);
			this.#add("Gather", [sequence.name, at], `${own}${name}`, sequence.axis);
		});
		for (const name of body.initializers.keys())
			names.set(name, `${this.#prefix}${name}`);
		for (const name of body.nodes.flatMap((n) => n.outputs))
			if (name) names.set(name, `${own}${name}`);
		const around = (name: string) => names.get(name) ?? name;
		for (const n of body.nodes)
			this.#nodes.push({ ...renamed(n, around), name: `${own}${n.name}` });
		return body.outputs.slice(from).map((v) => around(v.name));
	}

	/** What the steps gave out, in order, as one value. */
	#together(names: readonly string[], k: number, out: string | undefined) {
		const { axis = 0, backwards } = this.#s.collected[k] ?? {};
		if (!out) return;
		const axes = `${this.#prefix}axis${axis}`;
		this.#initializers.set(axes, int64s([axis]));
		const parts = names.map((name, i) => {
			const part = `${out}#part${i}`;
			this.#add("Unsqueeze", [name, axes], part);
			return part;
		});
		this.#add("Concat", backwards ? parts.reverse() : parts, out, axis);
	}

	#number(i: number): string {
		const name = `${this.#prefix}number${i}`;
		this.#initializers.set(name, int64s([i], []));
		return name;
	}

	#true(): string {
		const name = `${this.#prefix}true`;
		const data = Uint8Array.of(1);
		this.#initializers.set(name, { dtype: "bool", dims: [], data });
		return name;
	}

	#add(op: string, inputs: string[], out: string | undefined, axis?: number) {
		if (!out) return;
		const attrs: Record<string, Attr> =
			axis === undefined ? {} : { axis: { kind: "int", value: axis } };
		const name = `${out}#${op}`;
		this.#nodes.push({ op, domain: "", name, inputs, outputs: [out], attrs });
	}
}
