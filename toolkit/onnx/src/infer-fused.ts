import { type Rule, type0 } from "./infer-context.ts";

/** Operators that stand for several others. */
export const fusedRules: Record<string, Rule> = {
	"com.microsoft.Gelu": (c) => [type0(c)],
	"com.microsoft.FastGelu": (c) => [type0(c)],
};
