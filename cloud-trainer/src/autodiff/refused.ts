const STEPS =
	"a step: its gradient is zero almost everywhere, and no straight-through estimate is made";
const INNER = "the graphs inside it are chosen or repeated by the run";
const COUNT =
	"how many steps it takes is not known when the graph is built; it is written out where that follows from sizes and constants";
const ELEMENTS =
	"what a sequence holds is not known when the graph is built; tensors take its place where that follows from sizes and constants";

/** Why an operator has no gradient, where there is more to say than that it has no rule. */
export const REFUSED: Readonly<Record<string, string>> = {
	ConcatFromSequence: ELEMENTS,
	DynamicQuantizeLinear: STEPS,
	If: "which branch is taken follows from the inputs, and no rule sees through both",
	Loop: COUNT,
	QuantizeLinear: STEPS,
	Scan: COUNT,
	SequenceAt: ELEMENTS,
	SequenceConstruct: ELEMENTS,
	SequenceEmpty: ELEMENTS,
	SequenceErase: ELEMENTS,
	SequenceInsert: ELEMENTS,
	SequenceLength: ELEMENTS,
	SequenceMap: INNER,
	SplitToSequence: ELEMENTS,
};

/** Operators whose integer outputs stand for what went in: a gradient that ends there is refused. */
export const QUANTIZERS: ReadonlySet<string> = new Set([
	"DynamicQuantizeLinear",
	"QuantizeLinear",
]);
