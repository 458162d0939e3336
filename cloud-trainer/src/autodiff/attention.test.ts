import { emptyGraph, float, GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { attention } from "./attention.ts";
import { differentiate } from "./index.ts";
import type { Case } from "./testing.ts";

const CASES: Record<string, Case> = {
	"Attention by heads": (d) => {
		const [batch, time, past] = [d.int(1, 2), d.int(1, 3), d.int(0, 2)];
		const [size, wide] = [d.int(1, 3), d.int(1, 3)];
		const known = { fixed: [1, 3] };
		const kv = 2;
		const heads = kv * d.int(1, 2);
		const before = (n: number) =>
			past ? d.active([batch, kv, past, n], known) : undefined;
		const masks = d.int(0, 2);
		const seen = [time, time + past];
		const outputs = d.b.ops(
			"Attention",
			[
				d.active([batch, heads, time, size], known),
				d.active([batch, kv, time, size], known),
				d.active([batch, kv, time, wide], known),
				masks === 1
					? d.active(seen, { fixed: "all" })
					: masks === 2
						? d.b.constant({
								dtype: "bool",
								dims: seen,
								// The first key is seen by all: a row of nothing has no softmax.
								data: Uint8Array.from(
									{ length: time * (time + past) },
									(_, i) => (i % (time + past) === 0 ? 1 : d.int(0, 1)),
								),
							})
						: undefined,
				before(size),
				before(wide),
			],
			past ? 3 : 1,
			{
				is_causal: d.int(0, 1),
				...(d.flag() ? { softcap: float(2) } : {}),
				...(d.flag() ? { scale: float(0.3) } : {}),
			},
		);
		return d.b.concat(
			outputs.map((v) => d.b.reshape(v, [-1])),
			0,
		);
	},
	"Attention side by side": (d) => {
		const [batch, time, keys] = [d.int(1, 2), d.int(1, 3), d.int(1, 4)];
		const known = { fixed: [2] };
		return d.b.op(
			"Attention",
			[
				d.active([batch, time, 8], known),
				d.active([batch, keys, 4], known),
				d.active([batch, keys, 6], known),
			],
			{ q_num_heads: 4, kv_num_heads: 2 },
		);
	},
	RotaryEmbedding: (d) => {
		const [batch, time, heads] = [d.int(1, 2), d.int(1, 3), d.int(1, 2)];
		const half = d.int(1, 2);
		const rest = d.pick([0, 2]);
		const size = 2 * half + rest;
		const flat = d.flag();
		const places = d.flag();
		const cache = () =>
			d.active(places ? [4, half] : [batch, time, half], { fixed: "all" });
		return d.b.op(
			"RotaryEmbedding",
			[
				flat
					? d.active([batch, time, heads * size], { fixed: "all" })
					: d.active([batch, heads, time, size], { fixed: "all" }),
				cache(),
				cache(),
				places
					? d.b.constant({
							dtype: "int64",
							dims: [batch, time],
							data: BigInt64Array.from({ length: batch * time }, () =>
								BigInt(d.int(0, 3)),
							),
						})
					: undefined,
			],
			{
				interleaved: d.int(0, 1),
				...(flat ? { num_heads: heads } : {}),
				...(rest ? { rotary_embedding_dim: 2 * half, num_heads: heads } : {}),
			},
		);
	},
};

ruleTests(test, CASES, attention, { opsets: [23], runs: 15 });

test("scores that are given out and used are refused", (t) => {
	const b = new GraphBuilder(emptyGraph("g", 23));
	const x = b.input("x", "float32", [1, 1, 2, 2]);
	const outputs = b.ops("Attention", [x, x, x], 4);
	const scores = b.assume(
		outputs[3] as NonNullable<(typeof outputs)[3]>,
		[1, 1, 2, 2],
	);
	t.throws(() => differentiate(b.graph, scores.name, ["x"]), {
		code: "E_OP_UNSUPPORTED",
		message: /Attention \(node .*scores/,
	});
});
