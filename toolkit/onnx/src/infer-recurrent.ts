import { freshDim } from "./dims.ts";
import { type Rule, shape0, type0 } from "./infer-context.ts";
import { type Dim, stringAttr } from "./types.ts";

/** Y [T, D, B, H], then the last states, [D, B, H] each. */
const layer: Rule = (c) => {
	const { dtype } = type0(c);
	const [time = freshDim(), batch = freshDim()] = shape0(c) ?? [];
	const hidden: Dim = c.types[2]?.shape?.[2] ?? freshDim();
	const both =
		stringAttr(c.node, "direction", "forward") === "bidirectional" ? 2 : 1;
	return c.node.outputs.map((_, i) => ({
		dtype,
		shape: i ? [both, batch, hidden] : [time, both, batch, hidden],
	}));
};

/** Recurrent layers, time first (layout 0, all that ONNX Runtime runs). */
export const recurrentRules: Record<string, Rule> = {
	RNN: layer,
	GRU: layer,
	LSTM: layer,
};
