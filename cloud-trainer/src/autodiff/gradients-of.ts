import { WattvoxError } from "@wattvox/core";
import {
	encodeModel,
	foldBranches,
	type Graph,
	GraphBuilder,
	hoistConstants,
	inferTypes,
	isFresh,
	isIf,
	sizeOf,
	type Tensor,
	zeros,
} from "@wattvox/onnx";
import { createEngine, type Feeds, type Results } from "@wattvox/runtime";
import { differentiate } from "./differentiate.ts";
import { liftParameters } from "./lift.ts";
import { withoutLoops } from "./loops.ts";

/** What {@link gradientsOf} is asked. */
export interface GradientRequest {
	/** Name of a float32 value; one of several elements counts as their sum. */
	of: string;
	/** Inputs or initialisers, float32. */
	wrt: readonly string[];
	/** A value for every input of the graph. */
	feeds: Readonly<Record<string, Tensor>>;
	/** Threads inside one operator (1). */
	threads?: number;
	signal?: AbortSignal | undefined;
}

/** The answer of {@link gradientsOf}. */
export interface GradientResult {
	/** The value, or the sum of its elements. */
	value: number;
	/** By name, each in the shape of what it belongs to, float32. */
	gradients: Map<string, Tensor>;
	/** Those names whose gradient is zero whatever the values: nothing, or only steps, lead to `of`. */
	independent: string[];
}

/**
 * Gradients of one value of any ONNX graph at one point, computed on ONNX Runtime in a worker. The
 * inputs' symbolic sizes are bound to those of the feeds before the graph is differentiated.
 * @throws WattvoxError E_MODEL for names, types or shapes that do not fit; E_OP_UNSUPPORTED naming
 * node, operator and opset
 */
export async function gradientsOf(
	graph: Graph,
	o: GradientRequest,
): Promise<GradientResult> {
	const wrt = [...new Set(o.wrt)];
	if (!wrt.length)
		throw new WattvoxError("E_MODEL", "nothing to differentiate for");
	const sized = hoistConstants(bindSizes(graph, o.feeds));
	const taken = await takeBranches(sized, o);
	const bound = await findTypes(withoutLoops(taken, wrt), o);
	const lifted = liftParameters(fixIntegers(bound, o), wrt);
	const feeds = { ...o.feeds, ...Object.fromEntries(lifted.values) };
	checkNames(bound, o.of, wrt, feeds);
	const { builder: b, gradients } = differentiate(lifted.graph, o.of, wrt);
	const y = b.value(o.of);
	b.graph.outputs = [];
	const total = b.output(b.sum(y), b.fresh("total")).name;
	const names = new Map<string, string>();
	for (const [name, g] of gradients)
		if (g) names.set(name, b.output(g, b.fresh("gradient")).name);
	const engine = await createEngine(
		{ given: encodeModel(b.graph) },
		{ threads: o.threads ?? 1, signal: o.signal },
	);
	try {
		const taken = Object.fromEntries(
			engine.inputs.map(({ name }) => [name, feeds[name]]),
		);
		const out = await engine.run(taken as Feeds, { signal: o.signal });
		const found = wrt.map((name): [string, Tensor] => {
			const { dims } = feeds[name] as Tensor;
			const as = names.get(name);
			const g = as === undefined ? undefined : (out[as] as Tensor | undefined);
			if (g && g.data.length !== sizeOf(dims))
				throw new WattvoxError(
					"E_BUG",
					`the gradient of ${name} is [${g.dims}], its value [${dims}]`,
				);
			return [name, g ? { ...g, dims: [...dims] } : zeros(dims)];
		});
		return {
			value: Number(out[total]?.data[0]),
			gradients: new Map(found),
			independent: wrt.filter((name) => !names.has(name)),
		};
	} finally {
		await engine.dispose();
	}
}

/**
 * The graph with the feeds' shapes in place of its inputs' and without the inner shapes that the file
 * declares, which may hold symbols that are numbers now; those that nothing else tells stay.
 * @throws WattvoxError E_MODEL naming an input that is missing, unknown, or of another shape or type
 */
function bindSizes(
	graph: Graph,
	feeds: Readonly<Record<string, Tensor>>,
): Graph {
	const known = graph.inputs.map((v) => v.name).join(", ") || "none";
	for (const name of Object.keys(feeds))
		if (!graph.inputs.some((v) => v.name === name))
			throw new WattvoxError(
				"E_MODEL",
				`the model has no input ${name} to feed; its inputs: ${known}`,
			);
	const sizes = new Map<string, number>();
	const inputs = graph.inputs.map((v) => {
		const feed = feeds[v.name];
		if (!feed)
			throw new WattvoxError("E_MODEL", `the feeds lack the input ${v.name}`);
		const fits =
			!v.shape ||
			(v.shape.length === feed.dims.length &&
				v.shape.every((d, i) => {
					const size = feed.dims[i] as number;
					if (typeof d === "number") return d === size;
					if (!isFresh(d) && !sizes.has(d)) sizes.set(d, size);
					return isFresh(d) || sizes.get(d) === size;
				}));
		if (feed.dtype !== v.dtype || !fits)
			throw new WattvoxError(
				"E_MODEL",
				`the feed ${v.name} is ${feed.dtype} [${feed.dims}], the model takes ${v.dtype} [${v.shape ?? "any"}]`,
			);
		return { ...v, shape: [...feed.dims] };
	});
	const bound = (type: Graph["outputs"][number]["shape"]) =>
		type?.map((d) => (typeof d === "string" ? (sizes.get(d) ?? d) : d));
	return {
		...graph,
		inputs,
		outputs: graph.outputs.map((v) => ({ ...v, shape: bound(v.shape) })),
		valueInfo: new Map(
			[...graph.valueInfo].map(([name, type]) => [
				name,
				{ ...type, shape: bound(type.shape) },
			]),
		),
	};
}

/** More elements than axes, pads or bounds have are not worth looking at. */
const SETTING = 64;

/** The graph with short integer inputs as constants, where rules look for axes and the like. */
function fixIntegers(graph: Graph, o: GradientRequest): Graph {
	const fixed = (name: string): boolean => {
		const t = o.feeds[name];
		const whole = /^u?int/.test(t?.dtype ?? "");
		return whole && sizeOf(t?.dims ?? []) <= SETTING && name !== o.of;
	};
	const initializers = new Map(graph.initializers);
	for (const { name } of graph.inputs)
		if (fixed(name)) initializers.set(name, o.feeds[name] as Tensor);
	return {
		...graph,
		initializers,
		inputs: graph.inputs.filter((v) => !fixed(v.name)),
	};
}

/**
 * The graph without the Ifs outside of loops: those whose conditions sizes and constants do not tell take
 * the branch that a run on the feeds takes, whose gradient is that of the whole at this point.
 */
async function takeBranches(graph: Graph, o: GradientRequest): Promise<Graph> {
	const folded = foldBranches(graph);
	const open = folded.nodes.flatMap((n) => (isIf(n) ? n.inputs : []));
	if (!open.length) return folded;
	const values = await valuesAt(folded, [...new Set(open)], o);
	const given = new Map(
		Object.entries(values).map(([name, t]) => [name, Number(t.data[0]) !== 0]),
	);
	return takeBranches(foldBranches(folded, given), o);
}

/** Inner values of a graph at the feeds. */
async function valuesAt(
	graph: Graph,
	names: readonly string[],
	o: GradientRequest,
): Promise<Results> {
	const model = encodeModel({ ...graph, outputs: [] }, names);
	const engine = await createEngine({ given: model }, { signal: o.signal });
	try {
		const taken = engine.inputs.map(({ name }) => [name, o.feeds[name]]);
		return await engine.run(Object.fromEntries(taken) as Feeds, {
			signal: o.signal,
		});
	} finally {
		await engine.dispose();
	}
}

/**
 * The graph with declarations of those values that inference knows nothing of and the file does not
 * declare: their types and shapes are taken from a run on the feeds.
 */
async function findTypes(graph: Graph, o: GradientRequest): Promise<Graph> {
	const types = inferTypes(graph);
	const read = new Set(graph.nodes.flatMap((n) => n.inputs));
	// The first of a chain tells the rest; where it does not, the next round asks again.
	const unknown = graph.nodes
		.filter((n) => n.inputs.every((i) => !i || types.has(i)))
		.flatMap((n) => n.outputs)
		.filter((name) => name && read.has(name) && !types.has(name));
	if (!unknown.length) return graph;
	const valueInfo = new Map(graph.valueInfo);
	for (const [name, t] of Object.entries(await valuesAt(graph, unknown, o)))
		valueInfo.set(name, { dtype: t.dtype, shape: [...t.dims] });
	return findTypes({ ...graph, valueInfo }, o);
}

/** @throws WattvoxError E_MODEL naming what is unknown, and what there is instead; or what is no float32 */
function checkNames(
	graph: Graph,
	of: string,
	wrt: readonly string[],
	feeds: Readonly<Record<string, Tensor>>,
): void {
	for (const name of wrt) {
		const tensor = feeds[name];
		if (!tensor)
			throw new WattvoxError(
				"E_MODEL",
				`the model has no input or initialiser ${name}${near(name, [
					...graph.inputs.map((v) => v.name),
					...graph.initializers.keys(),
				])}`,
			);
		if (tensor.dtype !== "float32")
			throw new WattvoxError(
				"E_MODEL",
				`${name} is ${tensor.dtype}: gradients are for float32 values`,
			);
	}
	const made =
		graph.inputs.some((v) => v.name === of) ||
		graph.initializers.has(of) ||
		graph.nodes.some((n) => n.outputs.includes(of));
	if (!made)
		throw new WattvoxError(
			"E_MODEL",
			`the model has no value ${of}; its outputs: ${graph.outputs.map((v) => v.name).join(", ")}`,
		);
	const type = new GraphBuilder(graph, inferTypes(graph)).value(of);
	if (type.dtype !== "float32")
		throw new WattvoxError(
			"E_MODEL",
			`${of} is ${type.dtype}: only a float32 value has gradients`,
		);
}

/** The names that contain the last part of a wrong one, or the first few of all. */
function near(name: string, all: readonly string[]): string {
	const part = name.split(/[./]/).at(-1) ?? name;
	const alike = all.filter((n) => n.includes(part));
	const some = (alike.length ? alike : all).slice(0, 8);
	return some.length ? `; there is ${some.join(", ")}` : "";
}
