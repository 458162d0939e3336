import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { linear } from "./linear.ts";
import type { Case } from "./testing.ts";

const CASES: Record<keyof typeof linear, Case> = {
	MatMul: (d) => {
		const batch = d.shape(0, 2);
		const [m, k, n] = [d.int(1, 3), d.int(1, 3), d.int(1, 3)];
		const partner = () => d.partner(batch);
		// Now and then a vector on a side, or a matrix times itself.
		const kind = d.int(0, 5);
		if (kind === 0) {
			const x = d.active([...batch, k, k]);
			return d.b.matmul(x, x);
		}
		return d.b.matmul(
			d.active(kind === 1 ? [k] : [...(d.flag() ? batch : partner()), m, k]),
			d.active(
				kind === 2 || (kind === 1 && d.flag())
					? [k]
					: [...(d.flag() ? batch : partner()), k, n],
			),
		);
	},
	Gemm: (d) => {
		const [m, k, n] = [d.int(1, 3), d.int(1, 3), d.int(1, 3)];
		const [transA, transB] = [d.int(0, 1), d.int(0, 1)];
		const factor = () => ({ kind: "float", value: d.int(-4, 4) / 2 }) as const;
		return d.b.op(
			"Gemm",
			[
				d.active(transA ? [k, m] : [m, k]),
				d.active(transB ? [n, k] : [k, n]),
				d.flag() ? d.active(d.partner([m, n])) : undefined,
			],
			{
				transA,
				transB,
				...(d.flag() ? { alpha: factor() } : {}),
				...(d.flag() ? { beta: factor() } : {}),
			},
		);
	},
	LayerNormalization: (d) => {
		const shape = d.shape(1);
		// One value has no deviation; two are normalised to their signs, flat but for epsilon.
		const rows = [...shape.slice(0, -1), d.int(3, 5)];
		const axis = d.axis(rows.length);
		const over = rows.slice(axis);
		const range = { fixed: "all" } as const;
		return d.b.op(
			"LayerNormalization",
			[
				d.active(rows, { fixed: [-1], alternating: true }),
				d.active(over, range),
				d.flag() ? d.active(over, range) : undefined,
			],
			{ axis, epsilon: { kind: "float", value: d.pick([1e-5, 0.1]) } },
		);
	},
};

ruleTests(test, CASES, linear, { opsets: [17, 18], runs: 15 });
