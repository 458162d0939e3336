import test from "ava";
import { type InferCase, inferenceTests } from "./_infer-testing.test.ts";
import { recurrentRules } from "./infer-recurrent.ts";

const layer = (op: string, gates: number, outputs: number): InferCase => ({
	runs: 8,
	build: (d) => {
		const both = d.flag();
		const [time, batch, inner, hidden] = [
			d.int(1, 3),
			d.int(1, 3),
			d.int(1, 2),
			d.int(1, 3),
		];
		const [many, wide] = [both ? 2 : 1, gates * hidden];
		return d.b.ops(
			op,
			[
				d.float([time, batch, inner]),
				d.float([many, wide, inner]),
				d.float([many, wide, hidden]),
			],
			d.int(1, outputs),
			{
				hidden_size: hidden,
				direction: both ? "bidirectional" : d.pick(["forward", "reverse"]),
			},
		);
	},
});

inferenceTests(
	test,
	{
		RNN: layer("RNN", 1, 2),
		GRU: layer("GRU", 3, 2),
		LSTM: layer("LSTM", 4, 3),
	},
	recurrentRules,
);
