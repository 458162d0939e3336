import { type Rule, shape0, type0 } from "./infer-context.ts";
import type { ValueType } from "./types.ts";

const same: Rule = (c) => [type0(c)];

/** Normalisations over some axes; layer normalisation stands with the products of matrices. */
export const normRules: Record<string, Rule> = {
	BatchNormalization: (c) => {
		const dtype = type0(c).dtype;
		const perChannel: ValueType = {
			dtype: c.types[3]?.dtype ?? dtype,
			shape: c.types[3]?.shape,
		};
		return c.node.outputs.map((_, i) =>
			i ? perChannel : { dtype, shape: shape0(c) },
		);
	},
};
for (const op of "InstanceNormalization GroupNormalization RMSNormalization LpNormalization MeanVarianceNormalization LRN".split(
	" ",
))
	normRules[op] = same;
