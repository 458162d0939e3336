import test from "ava";
import { type InferCase, inferenceTests } from "./_infer-testing.test.ts";
import { fusedRules } from "./infer-fused.ts";

const CASES: Record<string, InferCase> = {
	Attention: {
		opset: 23,
		build: (d) => {
			const [batch, time, keys] = [d.int(1, 2), d.int(1, 3), d.int(1, 3)];
			if (d.flag())
				return [
					d.b.op(
						"Attention",
						[
							d.float([batch, time, 8]),
							d.float([batch, keys, 4]),
							d.float([batch, keys, 6]),
						],
						{ q_num_heads: 4, kv_num_heads: 2 },
					),
				];
			const past = d.int(0, 2);
			const before = (n: number) =>
				past ? d.float([batch, 2, past, n]) : undefined;
			return d.b.ops(
				"Attention",
				[
					d.float([batch, 4, time, 3]),
					d.float([batch, 2, keys, 3]),
					d.float([batch, 2, keys, 2]),
					undefined,
					before(3),
					before(2),
				],
				past ? 3 : 1,
			);
		},
	},
	RotaryEmbedding: {
		opset: 23,
		build: (d) => {
			const [batch, time] = [d.int(1, 2), d.int(1, 3)];
			const cache = () => d.float([batch, time, 2]);
			return [
				d.b.op("RotaryEmbedding", [
					d.float([batch, 2, time, 4]),
					cache(),
					cache(),
				]),
			];
		},
	},
	"com.microsoft.Gelu": {
		build: (d) => [d.b.op("Gelu", [d.float(d.shape())], {}, "com.microsoft")],
	},
	"com.microsoft.FastGelu": {
		build: (d) => [
			d.b.op("FastGelu", [d.float(d.shape(1))], {}, "com.microsoft"),
		],
	},
};

inferenceTests(test, CASES, fusedRules);
