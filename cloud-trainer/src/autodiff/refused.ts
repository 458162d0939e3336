const STEPS =
	"a step: its gradient is zero almost everywhere, and no straight-through estimate is made";
const INNER = "the graphs inside it are chosen or repeated by the run";

/** Why an operator has no gradient, where there is more to say than that it has no rule. */
export const REFUSED: Readonly<Record<string, string>> = {
	DynamicQuantizeLinear: STEPS,
	If: "which branch is taken follows from the inputs, and no rule sees through both",
	Loop: INNER,
	QuantizeLinear: STEPS,
	Scan: INNER,
	SequenceMap: INNER,
};

/** Operators whose integer outputs stand for what went in: a gradient that ends there is refused. */
export const QUANTIZERS: ReadonlySet<string> = new Set([
	"DynamicQuantizeLinear",
	"QuantizeLinear",
]);
