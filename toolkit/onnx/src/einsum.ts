import { WattvoxError } from "@wattvox/core";

/** An Einsum equation with a label for every axis; those that an ellipsis stands for are "0", "1"... */
export interface EinsumLabels {
	inputs: string[][];
	output: string[];
}

const bad = (equation: string, why: string): WattvoxError =>
	new WattvoxError("E_MODEL", `the equation "${equation}" ${why}`);

/**
 * Reads the equation of an Einsum for inputs of the given ranks. The axes of an ellipsis are counted
 * from the back, so that shorter ones broadcast as numpy does it. Without an arrow the output has the
 * ellipsis' axes, then every label that appears once, in alphabetical order.
 * @throws WattvoxError E_MODEL when the equation does not fit the inputs
 */
export function einsumLabels(
	equation: string,
	ranks: readonly number[],
): EinsumLabels {
	const [left = "", right] = equation.replaceAll(" ", "").split("->");
	const terms = left.split(",");
	if (terms.length !== ranks.length)
		throw bad(equation, `has ${terms.length} terms for ${ranks.length} inputs`);
	let widest = 0;
	const inputs = terms.map((term, k) => {
		const rank = ranks[k] ?? 0;
		const labels = [...term.replace("...", "")];
		const open = rank - labels.length;
		if (open < 0 || (open > 0 && !term.includes("...")))
			throw bad(equation, `does not fit input ${k} of ${rank} axes`);
		if (!labels.every((l) => /[A-Za-z]/.test(l)))
			throw bad(equation, "has labels that are no letters");
		widest = Math.max(widest, open);
		return { term, open };
	});
	const expand = (term: string, open: number): string[] => {
		const dots = Array.from({ length: open }, (_, i) =>
			String(widest - open + i),
		);
		const at = term.indexOf("...");
		return at < 0
			? [...term]
			: [...term.slice(0, at), ...dots, ...term.slice(at + 3)];
	};
	const labels = inputs.map(({ term, open }) => expand(term, open));
	if (right !== undefined) {
		const output = expand(right, widest);
		const known = new Set(labels.flat());
		if (
			!output.every((l) => known.has(l)) ||
			new Set(output).size < output.length
		)
			throw bad(equation, "has an output label that is unknown or repeated");
		return { inputs: labels, output };
	}
	const letters = left.replace(/[^A-Za-z]/g, "");
	const once = [...new Set(letters)]
		.filter((l) => letters.split(l).length === 2)
		.sort();
	const dots = Array.from({ length: widest }, (_, i) => String(i));
	return { inputs: labels, output: [...dots, ...once] };
}
