import test from "ava";
import fc from "fast-check";
import { linear } from "./linear.ts";
import { type Case, checkCase, Draw } from "./testing.ts";

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

test("every rule has a case", (t) => {
	t.deepEqual(Object.keys(CASES).sort(), Object.keys(linear).sort());
});

for (const [op, build] of Object.entries(CASES))
	for (const opset of [17, 18])
		test.serial(
			`${op}, opset ${opset}: the gradient is what finite differences give`,
			async (t) => {
				await fc.assert(
					fc.asyncProperty(fc.gen(), async (g) => {
						const d = new Draw(
							(min, max) => g(fc.integer, { min, max }),
							opset,
						);
						t.is(await checkCase(d, build), undefined);
					}),
					{ numRuns: 15 },
				);
			},
		);
