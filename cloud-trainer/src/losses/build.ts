import { WattvoxError } from "@wattvox/core";
import {
	type Dim,
	type DType,
	type Graph,
	GraphBuilder,
	inferTypes,
	type Tensor,
	type Value,
} from "@wattvox/onnx";
import { z } from "zod";
import { type Loss, type LossSpec, lossSchema } from "./spec.ts";
import { spectralDistance } from "./spectral.ts";

/** One term of a loss that is a sum: how parts of a batch are weighed into the whole. */
export interface LossTerm {
	/** Name of its scalar output: a mean over what counts. */
	value: string;
	/** Factor in the sum: a number, or the name of a scalar input. */
	weight: number | string;
	/** How much of a batch counts; its rows when absent. */
	count?: (feeds: Readonly<Record<string, Tensor>>) => number;
}

/** A graph with a loss. */
export interface WithLosses {
	graph: Graph;
	/** Name of the scalar to lower. */
	loss: string;
	terms: LossTerm[];
}

/**
 * Adds losses to a model: a new graph with inputs for what is not in it yet, an output `loss.LABEL` per
 * term and their weighted sum, `loss`.
 * @throws WattvoxError E_USAGE for a description that is none; E_MODEL when it does not fit the model
 */
export function withLosses(
	graph: Graph,
	specs: readonly LossSpec[],
): WithLosses {
	const parsed = z.array(lossSchema).min(1).safeParse(specs);
	if (!parsed.success)
		throw new WattvoxError(
			"E_USAGE",
			`losses: ${z.prettifyError(parsed.error)}`,
		);
	const copy: Graph = {
		...graph,
		opsets: { ...graph.opsets },
		inputs: [...graph.inputs],
		outputs: [...graph.outputs],
		nodes: [...graph.nodes],
		initializers: new Map(graph.initializers),
	};
	const b = new GraphBuilder(copy, inferTypes(graph));
	const terms: LossTerm[] = [];
	let total: Value | undefined;
	for (const spec of parsed.data) {
		const { value, count } = term(b, spec);
		const label = spec.label ?? spec.kind;
		let name = `loss.${label}`;
		for (let i = 2; terms.some((t) => t.value === name); i++)
			name = `loss.${label}.${i}`;
		b.output(value, name);
		const weighted =
			typeof spec.weight === "number"
				? b.affine(value, spec.weight)
				: b.mul(value, given(b, spec.weight, "float32", []));
		total = total ? b.add(total, weighted) : weighted;
		terms.push({ value: name, weight: spec.weight, ...(count && { count }) });
	}
	b.output(total as Value, "loss");
	return { graph: copy, loss: "loss", terms };
}

/** A value of the graph, or a new input of that name. */
function given(
	b: GraphBuilder,
	name: string,
	dtype: DType,
	shape: readonly Dim[],
): Value {
	try {
		return b.value(name);
	} catch {
		return b.input(name, dtype, shape);
	}
}

function shapeOf(v: Value): Dim[] {
	if (!v.shape)
		throw new WattvoxError("E_MODEL", `the rank of ${v.name} is unknown`);
	return v.shape;
}

const sumOf = (t: Tensor | undefined): number => {
	let sum = 0;
	for (const v of t?.data ?? []) sum += Number(v);
	return sum;
};

interface Term {
	value: Value;
	count?: NonNullable<LossTerm["count"]>;
}

function term(b: GraphBuilder, spec: Loss): Term {
	const out = b.value(spec.output);
	const shape = shapeOf(out);
	if (spec.kind === "cross-entropy") return crossEntropy(b, spec, out);
	const target = given(b, spec.target, "float32", shape);
	if (spec.kind === "spectral")
		return { value: spectral(b, spec, out, target) };
	const { mask: name } = spec;
	const mask =
		name === undefined
			? undefined
			: given(b, name, "float32", [...shape.slice(0, -1), 1]);
	const mean = (v: Value) => (mask ? maskedMean(b, v, mask) : b.mean(v));
	const counted = name !== undefined && {
		count: (feeds: Readonly<Record<string, Tensor>>) => sumOf(feeds[name]),
	};
	switch (spec.kind) {
		case "l1":
			return { value: mean(b.op("Abs", [b.sub(out, target)])), ...counted };
		case "l2": {
			const gap = b.sub(out, target);
			return { value: mean(b.mul(gap, gap)), ...counted };
		}
		case "kl":
			return { value: mean(divergence(b, spec, out, target)), ...counted };
		case "cosine":
			return { value: mean(cosineGap(b, out, target)), ...counted };
	}
}

/** sum(x mask) / sum(mask as wide as x). */
function maskedMean(b: GraphBuilder, x: Value, mask: Value): Value {
	const wide = b.op("Expand", [mask, b.op("Shape", [x])]);
	return b.div(b.sum(b.mul(x, mask)), b.affine(b.sum(wide), 1, 1e-6));
}

function crossEntropy(
	b: GraphBuilder,
	spec: Extract<Loss, { kind: "cross-entropy" }>,
	out: Value,
): Term {
	const shape = shapeOf(out);
	const axis = spec.axis < 0 ? spec.axis + shape.length : spec.axis;
	const classes = shape[axis];
	if (typeof classes !== "number")
		throw new WattvoxError(
			"E_MODEL",
			`cross-entropy: axis ${spec.axis} of ${out.name} [${shape}] must have a fixed size`,
		);
	const labels = given(
		b,
		spec.target,
		"int64",
		shape.filter((_, i) => i !== axis),
	);
	const skip = b.op("Equal", [labels, b.ints([spec.ignore])]);
	const index = b.op("Where", [skip, b.ints([0]), labels]);
	const valid = b.cast(b.op("Not", [skip]), "float32");
	const { smoothing } = spec;
	const hot = b.op(
		"OneHot",
		[
			index,
			b.ints([classes]),
			b.constant({
				dtype: "float32",
				dims: [2],
				data: Float32Array.of(
					smoothing / classes,
					1 - smoothing + smoothing / classes,
				),
			}),
		],
		{ axis },
	);
	const log = b.op("LogSoftmax", [out], { axis });
	const each = b.op("Neg", [b.sum(b.mul(log, hot), [axis])]);
	return {
		value: b.div(b.sum(b.mul(each, valid)), b.affine(b.sum(valid), 1, 1e-6)),
		count: (feeds) => {
			const data = feeds[spec.target]?.data ?? [];
			let n = 0;
			for (const v of data) if (Number(v) !== spec.ignore) n++;
			return n;
		},
	};
}

/** T^2 sum p (ln p - ln q) over the last axis, which is kept. */
function divergence(
	b: GraphBuilder,
	spec: Extract<Loss, { kind: "kl" }>,
	out: Value,
	target: Value,
): Value {
	const cool = (v: Value) => b.affine(v, 1 / spec.temperature);
	const logQ = b.op("LogSoftmax", [cool(out)], { axis: -1 });
	const logits = spec.of === "logits";
	const logP = logits
		? b.op("LogSoftmax", [cool(target)], { axis: -1 })
		: b.op("Log", [b.op("Max", [target, b.scalar(1e-12)])]);
	const p = logits ? b.op("Exp", [logP]) : target;
	const sum = b.sum(b.mul(p, b.sub(logP, logQ)), [-1], 1);
	return b.affine(sum, spec.temperature ** 2);
}

/** 1 - cos over the last axis, which is kept. */
function cosineGap(b: GraphBuilder, a: Value, d: Value): Value {
	const dot = (x: Value, y: Value) => b.sum(b.mul(x, y), [-1], 1);
	const length = (x: Value) => b.op("Sqrt", [b.affine(dot(x, x), 1, 1e-12)]);
	const cos = b.div(dot(a, d), b.mul(length(a), length(d)));
	return b.affine(cos, -1, 1);
}

function spectral(
	b: GraphBuilder,
	spec: Extract<Loss, { kind: "spectral" }>,
	out: Value,
	target: Value,
): Value {
	const samples = shapeOf(out).at(-1);
	const most = Math.max(...spec.sizes);
	if (typeof samples !== "number" || samples < most)
		throw new WattvoxError(
			"E_MODEL",
			`spectral: ${out.name} [${out.shape}] must have a fixed number of samples, ${most} at least`,
		);
	const flat = (v: Value) =>
		v.shape?.length === 2 ? v : b.reshape(v, [-1, samples]);
	return spectralDistance(b, flat(out), flat(target), samples, spec.sizes);
}
