import { stringAttr, type Value } from "@wattvox/onnx";
import { oneHot, sizeOfAxis } from "./scatter.ts";
import {
	input,
	mask,
	type Rule,
	shapeOf,
	unsupported,
	type VjpContext,
	x0,
} from "./vjp.ts";

/**
 * The cotangent of the log-probabilities [N, C, ...] of a loss -sum_i w_i logp[i, label_i], divided by
 * sum_i w_i for `mean`: -g w_i (/ sum w) at each label, 0 elsewhere. w is the weight of the label, 1
 * without weights, 0 where the label is the one to ignore.
 */
function atLabels(c: VjpContext, g: Value): Value {
	const { b, node } = c;
	if (c.needs[2]) throw unsupported(c, "weights that are trained");
	const reduction = stringAttr(node, "reduction", "mean");
	const labels = input(c, 1);
	const wide = labels.dtype === "int64" ? labels : b.cast(labels, "int64");
	const ignored = node.attrs.ignore_index;
	const whole = (n: number) =>
		b.constant({ dtype: "int64", dims: [], data: BigInt64Array.of(BigInt(n)) });
	let [rows, w]: [Value, Value | undefined] = [wide, undefined];
	let skip: Value | undefined;
	if (ignored?.kind === "int") {
		skip = b.op("Equal", [wide, whole(ignored.value)]);
		// Any label will do where there is none: its weight is 0.
		rows = b.op("Where", [skip, whole(0), wide]);
		w = mask(b, b.op("Not", [skip]));
	}
	const weights = c.inputs[2];
	if (weights) {
		const each = b.op("Gather", [weights, rows], { axis: 0 });
		w = w ? b.mul(each, w) : each;
	}
	let share = w ? b.mul(g, w) : g;
	if (reduction === "mean") {
		const total = w ? b.sum(w) : b.cast(b.op("Size", [labels]), "float32");
		share = b.div(share, total);
	}
	const hot = oneHot(c, rows, sizeOfAxis(c, x0(c), 1), 1);
	// One number for each label goes beside the classes; one for all broadcasts.
	const beside =
		share.shape?.length === 0 ? share : b.op("Unsqueeze", [share, b.ints([1])]);
	return b.op("Neg", [b.mul(hot, beside)]);
}

/** Rules for losses over labels; the classes are axis 1. */
export const losses = {
	NegativeLogLikelihoodLoss: (c) => [atLabels(c, c.grads[0] as Value)],
	// logp = logsoftmax(x): dx = dlogp - exp(logp) sum(dlogp) over the classes, where dlogp comes from the
	// loss and from the log-probabilities as a second output
	SoftmaxCrossEntropyLoss: (c) => {
		const { b } = c;
		shapeOf(c, x0(c));
		const [, logp] = b.extend(c.node, 2) as [Value, Value];
		const parts = [c.grads[0] && atLabels(c, c.grads[0]), c.grads[1]].filter(
			(v) => v !== undefined,
		);
		const d = parts.length > 1 ? b.op("Sum", parts) : (parts[0] as Value);
		return [b.sub(d, b.mul(b.op("Exp", [logp]), b.sum(d, [1], 1)))];
	},
} satisfies Record<string, Rule>;
