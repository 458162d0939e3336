import type { Value } from "@wattvox/onnx";
import {
	bell,
	cap,
	carried,
	ended,
	type Gates,
	gatesOf,
	type Pass,
	product,
	sigmoid,
	summedProduct,
	tanh,
	whileRunning,
} from "./cells.ts";
import { scan } from "./scan.ts";

/**
 * Cells before and after each step, which the operator does not give out: c = keep c' + add. A run over
 * time without products.
 */
function cellsOf(p: Pass, keep: Value, add: Value): [Value, Value] {
	const { out } = scan(p.b, {
		states: [p.c0 as Value],
		sequences: [keep, whileRunning(p, add)],
		constants: [],
		backwards: p.backwards,
		step: (s, [c], [k, more]) => {
			const next = s.add(s.mul(c as Value, k as Value), more as Value);
			return { states: [next], out: [c as Value, next] };
		},
	});
	return out as [Value, Value];
}

/** {@link cellsOf} where the gates i and f see the cell: their sums without it, and what they see of it. */
function seenCells(
	p: Pass,
	[ai, af, fresh]: readonly [Value, Value, Value],
	[pi, pf]: readonly [Value, Value],
): [Value, Value] {
	const { out } = scan(p.b, {
		states: [p.c0 as Value],
		sequences: [ai, af, fresh, ...(p.running ? [p.running] : [])],
		constants: [pi, pf],
		backwards: p.backwards,
		step: (s, [cell], [i, f, add, on]) => {
			const c = cell as Value;
			const gate = (sum: Value | undefined, peephole: Value) =>
				sigmoid(s, s.add(sum as Value, s.mul(peephole, c)));
			const made = s.add(
				s.mul(gate(f, pf), c),
				s.mul(gate(i, pi), add as Value),
			);
			const next = on ? s.add(c, s.mul(on, s.sub(made, c))) : made;
			return { states: [next], out: [c, next] };
		},
	});
	return out as [Value, Value];
}

/**
 * i, o, f = sigmoid, c~ = tanh of their sums; c = f c' + i c~; h = o tanh(c), with ' for the step
 * before. dC = dc + dh o (1 - tanh(c)^2); da_i = dC c~ i(1-i), da_o = dh tanh(c) o(1-o),
 * da_f = dC c' f(1-f), da_c = dC i (1-c~^2); dc' = dC f, dh' = da R. All factors but dC and dh are
 * known for every step beforehand.
 * With peepholes P, i and f add P c' to their sums and o adds P c. Then dC has da_o P_o more, dc' has
 * da_i P_i + da_f P_f more, and dP is the sum of da_i c', da_o c and da_f c'.
 */
export function lstmBack(p: Pass): Gates {
	const { b } = p;
	const sums = b.add(
		product(b, p.x, p.w, p.wb),
		product(b, p.before, p.r, p.rb),
	);
	const [ai, ao, af, ac] = gatesOf(p, sums, 4) as [Value, Value, Value, Value];
	const [pi, po, pf] = p.peepholes
		? b.ops("Split", [p.peepholes, b.ints(Array(3).fill(p.hidden))], 3)
		: [];
	const fresh = tanh(b, ac);
	const [cBefore, c] = p.peepholes
		? seenCells(p, [ai, af, fresh], [pi as Value, pf as Value])
		: cellsOf(p, carried(p, sigmoid(b, af)), b.mul(sigmoid(b, ai), fresh));
	const gate = (sum: Value, peephole: Value | undefined, cell: Value) =>
		sigmoid(b, peephole ? b.add(sum, b.mul(peephole, cell)) : sum);
	const [i, o, f] = [
		gate(ai, pi, cBefore),
		gate(ao, po, c),
		gate(af, pf, cBefore),
	];
	const bent = tanh(b, c);
	const [ki, ko, kf] = [
		b.mul(fresh, bell(b, i)),
		b.mul(bent, bell(b, o)),
		b.mul(cBefore, bell(b, f)),
	];
	const slopes = whileRunning(
		p,
		b.concat([ki, ko, kf, b.mul(i, cap(b, fresh))], -1),
	);
	const plus = (v: Value, peephole: Value | undefined, k: Value) =>
		peephole ? b.add(v, b.mul(peephole, k)) : v;
	const toCell = whileRunning(p, plus(b.mul(o, cap(b, bent)), po, ko));
	const keep = carried(p, plus(plus(f, pi, ki), pf, kf));
	const { states, out } = scan(b, {
		states: [p.gh, p.gc as Value],
		sequences: [p.gy, slopes, toCell, keep, ...ended(p)],
		constants: [p.r],
		backwards: !p.backwards,
		step: (s, [dh, dc], [g, k, o1, f1, over]) => {
			const sum = s.add(dh as Value, g as Value);
			const dC = s.add(dc as Value, s.mul(sum, o1 as Value));
			const da = s.mul(s.concat([dC, sum, dC, dC], -1), k as Value);
			const back = s.matmul(da, p.r);
			return {
				states: [
					over ? s.add(back, s.mul(sum, over)) : back,
					s.mul(dC, f1 as Value),
				],
				out: [da],
			};
		},
	});
	const da = out[0] as Value;
	const dp = () => {
		const [di, dOut, df] = gatesOf(p, da, 4) as [Value, Value, Value];
		const seen = [b.mul(di, cBefore), b.mul(dOut, c), b.mul(df, cBefore)];
		return b.sum(b.concat(seen, -1), [0, 1]);
	};
	return {
		input: da,
		dr: summedProduct(b, da, p.before, [4 * p.hidden, p.hidden]),
		state: da,
		dh: states[0] as Value,
		dc: states[1] as Value,
		...(p.peepholes && { dp: dp() }),
	};
}
