import test from "ava";
import fc from "fast-check";
import { type Case, checkCase, Draw } from "./testing.ts";

/** Operands with labels drawn at random from a few sizes, an output of some of them in any order. */
const random: Case = (d) => {
	const sizes: Record<string, number> = {
		i: d.int(1, 3),
		j: d.int(1, 3),
		k: d.int(1, 3),
		l: d.int(1, 2),
	};
	const some = (): string[] =>
		Object.keys(sizes)
			.filter(() => d.flag())
			.sort(() => d.int(0, 1) - 0.5);
	const terms = Array.from({ length: d.int(1, 3) }, () => {
		const labels = some();
		return labels.length ? labels : ["i"];
	});
	const all = [...new Set(terms.flat())];
	const out = all.filter(() => d.flag()).sort(() => d.int(0, 1) - 0.5);
	return d.b.op(
		"Einsum",
		terms.map((labels) => d.active(labels.map((l) => sizes[l] as number))),
		{ equation: `${terms.map((l) => l.join("")).join(",")}->${out.join("")}` },
	);
};

/** Batches behind an ellipsis, equal or broadcast. */
const batches: Case = (d) => {
	const [m, k, n] = [d.int(1, 3), d.int(1, 3), d.int(1, 3)];
	const batch = d.shape(0, 2);
	const one = batch.map((v) => (d.flag() ? v : 1));
	return d.b.op(
		"Einsum",
		[d.active([...batch, m, k]), d.active([...one, k, n])],
		{
			equation: d.pick([
				"...mk,...kn->...mn",
				"...mk,...kn->...nm",
				"...mk,...kn->...m",
				"...mk,...kn->mn...",
			]),
		},
	);
};

const attention: Case = (d) => {
	const [b, h, q, k, e] = [2, 2, d.int(1, 3), d.int(1, 3), 2];
	const scores = d.b.op(
		"Einsum",
		[d.active([b, q, h, e]), d.active([b, k, h, e])],
		{ equation: "bqhe,bkhe->bhqk" },
	);
	return d.b.op("Einsum", [scores, d.active([b, k, h, e])], {
		equation: "bhqk, bkhe -> bqhe",
	});
};

/** One value in both places, and no arrow. */
const twice: Case = (d) => {
	const n = d.int(1, 3);
	const x = d.active([n, n]);
	return d.b.op("Einsum", [x, x], { equation: "ab,bc" });
};

/** Diagonals: an index twice or three times in a term. */
const diagonals: Case = (d) => {
	const [n, m] = [d.int(1, 3), d.int(1, 3)];
	const equation = d.pick([
		"ii->i",
		"ii",
		"iji->j",
		"iij,jj->ij",
		"...ii->...",
	]);
	const matrix = equation.startsWith("iij") ? [n, n, m] : [n, n];
	const x = d.active(equation.startsWith("iji") ? [n, m, n] : matrix);
	const more = equation.includes(",") ? [d.active([m, m])] : [];
	return d.b.op("Einsum", [x, ...more], { equation });
};

for (const [what, build] of Object.entries({
	random,
	batches,
	attention,
	twice,
	diagonals,
}))
	test.serial(
		`Einsum, ${what}: the gradient is what finite differences give`,
		async (t) => {
			await fc.assert(
				fc.asyncProperty(fc.gen(), async (g) => {
					const opset = g(fc.constantFrom, 13, 18);
					const d = new Draw((min, max) => g(fc.integer, { min, max }), opset);
					t.is(await checkCase(d, build), undefined);
				}),
				{ numRuns: what === "random" ? 40 : 10 },
			);
		},
	);
