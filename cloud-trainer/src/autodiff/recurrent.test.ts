import { floats, GraphBuilder, type Value } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { checkGradients, differentiate } from "./index.ts";
import { recurrent } from "./recurrent.ts";
import {
	type Case,
	type Draw,
	gradientsAt,
	type Range,
	threadDifference,
} from "./testing.ts";

const GATES = { RNN: 1, GRU: 3, LSTM: 4 };

/** int32 lengths of the examples. */
function lengths(d: Draw, batch: number, time: number): Value {
	const name = "lengths";
	d.feeds[name] = {
		dtype: "int32",
		dims: [batch],
		data: Int32Array.from(d.list(batch, 1, time)),
	};
	return d.b.input(name, "int32", [batch]);
}

const layer =
	(op: keyof typeof GATES): Case =>
	(d) => {
		const [time, batch, inner, hidden] = [
			d.int(1, 4),
			d.int(1, 2),
			d.int(1, 2),
			d.int(1, 2),
		];
		const direction = d.pick(["forward", "reverse", "bidirectional"]);
		const many = direction === "bidirectional" ? 2 : 1;
		const wide = GATES[op] * hidden;
		const relu = op === "RNN" && d.flag();
		// Nothing negative, so that no unit stands near the kink of Relu.
		const fixed: Range = { fixed: "all", size: [0.1, 1], positive: relu };
		const state = () =>
			d.flag() ? d.active([many, batch, hidden], fixed) : undefined;
		const peepholes = () =>
			d.flag() ? d.active([many, 3 * hidden], fixed) : undefined;
		const outputs = d.b.ops(
			op,
			[
				d.active([time, batch, inner], { ...fixed, fixed: [2] }),
				d.active([many, wide, inner], fixed),
				d.active([many, wide, hidden], fixed),
				d.flag() ? d.active([many, 2 * wide], fixed) : undefined,
				d.int(0, 2) ? undefined : lengths(d, batch, time),
				state(),
				...(op === "LSTM" ? [state(), peepholes()] : []),
			],
			op === "LSTM" ? 3 : 2,
			{
				hidden_size: hidden,
				direction,
				...(op === "GRU" ? { linear_before_reset: d.int(0, 1) } : {}),
				...(relu
					? {
							activations: {
								kind: "strings",
								value: Array(many).fill("Relu"),
							} as const,
						}
					: {}),
			},
		);
		// The sequence alone, the last states alone, or all.
		const used = d.pick([outputs, outputs.slice(0, 1), outputs.slice(1)]);
		return d.b.concat(
			used.map((v) => d.b.reshape(v, [-1])),
			0,
		);
	};

const CASES: Record<string, Case> = {
	RNN: layer("RNN"),
	GRU: layer("GRU"),
	LSTM: layer("LSTM"),
};

// ONNX Runtime's cells approximate their sigmoids: differences of them are a little rougher.
ruleTests(test, CASES, recurrent, {
	opsets: [14, 22],
	runs: 15,
	tolerance: 5e-3,
});

for (const op of ["GRU", "LSTM"] as const)
	test(`${op}: one thread and four agree`, async (t) => {
		const wide = GATES[op] * 24;
		const worst = await threadDifference((d) =>
			d.b.op(
				op,
				[
					d.active([20, 8, 16], { fixed: [2] }),
					d.active([1, wide, 16], { fixed: "all", size: [0.01, 0.1] }),
					d.active([1, wide, 24], { fixed: "all", size: [0.01, 0.1] }),
				],
				{ hidden_size: 24 },
			),
		);
		t.true(worst < 1e-5);
	});

test("one graph serves sequences of every length", async (t) => {
	const b = new GraphBuilder();
	const wave = (n: number) =>
		Array.from({ length: n }, (_, i) => 0.5 * Math.sin(i + 1));
	const x = b.input("x", "float32", ["T", "B", 2]);
	const y = b.op(
		"GRU",
		[
			x,
			b.weight("w", floats(wave(12), [1, 6, 2])),
			b.weight("r", floats(wave(12), [1, 6, 2])),
		],
		{ hidden_size: 2 },
	);
	for (const [time, batch] of [
		[1, 1],
		[7, 2],
	] as const) {
		const report = await checkGradients(b.graph, {
			of: y.name,
			wrt: ["x", "w", "r"],
			feeds: { x: floats(wave(time * batch * 2), [time, batch, 2]) },
		});
		t.deepEqual(report.failures, []);
	}
});

test("a unit of Relu that is off learns nothing", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [1, 1, 1]);
	const y = b.op(
		"RNN",
		[
			x,
			b.weight("w", floats([3, -1], [1, 2, 1])),
			b.weight("r", floats([1, 1, 1, 1], [1, 2, 2])),
		],
		{ hidden_size: 2, activations: { kind: "strings", value: ["Relu"] } },
	);
	const feeds = { x: floats([2], [1, 1, 1]) };
	t.deepEqual(await gradientsAt(b.graph, y.name, ["x", "w"], feeds), [
		[3],
		[2, 0],
	]);
});

test("settings without a rule are refused by name", (t) => {
	const refused: [RegExp, Parameters<GraphBuilder["op"]>[2]][] = [
		[/clipped/, { clip: 3 }],
		[
			/HardSigmoid/,
			{
				activations: {
					kind: "strings",
					value: ["HardSigmoid", "Tanh", "Tanh"],
				},
			},
		],
		[/coupled/, { input_forget: 1 }],
	];
	for (const [message, attrs] of refused) {
		const b = new GraphBuilder();
		const x = b.input("x", "float32", ["T", 1, 1]);
		const w = b.weight("w", floats([1, 1, 1, 1], [1, 4, 1]));
		const y = b.op("LSTM", [x, w, w], { hidden_size: 1, ...attrs });
		t.throws(() => differentiate(b.graph, y.name, ["x"]), {
			code: "E_OP_UNSUPPORTED",
			message,
		});
	}
});
