import { floats, GraphBuilder, int64s } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { losses } from "./losses.ts";
import { type Case, gradientsAt } from "./testing.ts";

const IGNORED = -1;

const loss =
	(op: string): Case =>
	(d) => {
		const [n, classes] = [d.int(1, 3), d.int(1, 4)];
		const rest = d.list(d.int(0, 2), 1, 2);
		const dims = [n, ...rest];
		const count = dims.reduce((a, b) => a * b, 1);
		const ignore = d.flag();
		// At least one label counts: a mean of none is no number.
		const labels = Array.from({ length: count }, (_, i) =>
			ignore && i && d.flag() ? IGNORED : d.int(0, classes - 1),
		);
		const weights = d.flag()
			? d.b.constant(
					floats(Array.from({ length: classes }, () => d.int(1, 4) / 2)),
				)
			: undefined;
		const outputs = d.b.ops(
			op,
			[d.active([n, classes, ...rest]), d.setting(labels, dims), weights],
			op.startsWith("Soft") && d.flag() ? 2 : 1,
			{
				...(d.flag() ? { reduction: d.pick(["none", "sum", "mean"]) } : {}),
				...(ignore ? { ignore_index: IGNORED } : {}),
			},
		);
		// The loss, the log-probabilities, or both.
		const used = outputs.filter(() => d.flag());
		return d.b.concat(
			(used.length ? used : outputs).map((v) => d.b.reshape(v, [-1])),
			0,
		);
	};

const CASES: Record<keyof typeof losses, Case> = {
	NegativeLogLikelihoodLoss: loss("NegativeLogLikelihoodLoss"),
	SoftmaxCrossEntropyLoss: loss("SoftmaxCrossEntropyLoss"),
};

ruleTests(test, CASES, losses, { opsets: [[13, 18, 22]], runs: 25 });

test("cross-entropy of two classes: softmax minus the label, the ignored row zero", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["N", 2]);
	const y = b.op(
		"SoftmaxCrossEntropyLoss",
		[x, b.input("labels", "int64", ["N"])],
		{ ignore_index: -100, reduction: "mean" },
	);
	const scale = b.op("Mul", [y, b.constant(floats([2], []))]);
	t.deepEqual(
		await gradientsAt(b.graph, scale.name, ["x"], {
			x: floats([0, 0, 3, 1, 0, 0], [3, 2]),
			labels: int64s([0, -100, 1]),
		}),
		[[-0.5, 0.5, 0, 0, 0.5, -0.5]],
	);
});
