import { type Dim, emptyGraph, GraphBuilder, type Value } from "@wattvox/onnx";

/** One run over time: what is carried from step to step, and what each step reads of a sequence. */
export interface Recurrence {
	/** Values at the start, of any shape; a step gives the next ones in the same order and shape. */
	states: readonly Value[];
	/** Sequences, time first: a step sees one element of each. */
	sequences: readonly Value[];
	/** Values that every step reads whole. */
	constants: readonly Value[];
	/** From the last element to the first; what the steps give out stands where they read. */
	backwards: boolean;
	step(
		b: GraphBuilder,
		states: readonly Value[],
		elements: readonly Value[],
	): { states: readonly Value[]; out: readonly Value[] };
}

/** Builds a Scan. @returns the states at the end and, as sequences, what the steps give out */
export function scan(
	b: GraphBuilder,
	r: Recurrence,
): { states: Value[]; out: Value[] } {
	const name = b.fresh("scan");
	const graph = emptyGraph(name, b.graph.opsets[""]);
	const inner = new GraphBuilder(graph);
	const time = r.sequences[0]?.shape?.[0] as Dim;
	const dtype = "float32";
	// Names inside must differ from those outside, which the steps can see.
	const body = inner.scope(name, () => {
		for (const v of r.constants) inner.assume(v, v.shape ?? []);
		const states = r.states.map((v, i) =>
			inner.input(`${name}.state${i}`, dtype, v.shape ?? []),
		);
		const elements = r.sequences.map((v, i) =>
			inner.input(`${name}.element${i}`, dtype, (v.shape ?? []).slice(1)),
		);
		return r.step(inner, states, elements);
	});
	[...body.states, ...body.out].forEach((v, i) => {
		inner.output(v, `${name}.out${i}`);
	});
	const outputs: Value[] = [
		...r.states.map((v) => v.shape ?? []),
		...body.out.map((v) => [time, ...(v.shape ?? [])]),
	].map((shape) => b.assume({ name: b.fresh(name), dtype, shape }, shape));
	const direction = Number(r.backwards);
	b.append({
		op: "Scan",
		domain: "",
		name,
		inputs: [...r.states, ...r.sequences].map((v) => v.name),
		outputs: outputs.map((v) => v.name),
		attrs: {
			body: { kind: "graph", value: graph },
			num_scan_inputs: { kind: "int", value: r.sequences.length },
			scan_input_directions: {
				kind: "ints",
				value: r.sequences.map(() => direction),
			},
			scan_output_directions: {
				kind: "ints",
				value: body.out.map(() => direction),
			},
		},
	});
	return {
		states: outputs.slice(0, r.states.length),
		out: outputs.slice(r.states.length),
	};
}
