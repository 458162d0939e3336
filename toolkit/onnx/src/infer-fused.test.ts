import test from "ava";
import { type InferCase, inferenceTests } from "./_infer-testing.test.ts";
import { fusedRules } from "./infer-fused.ts";

const CASES: Record<string, InferCase> = {
	"com.microsoft.Gelu": {
		build: (d) => [d.b.op("Gelu", [d.float(d.shape())], {}, "com.microsoft")],
	},
	"com.microsoft.FastGelu": {
		build: (d) => [
			d.b.op("FastGelu", [d.float(d.shape(1))], {}, "com.microsoft"),
		],
	},
};

inferenceTests(test, CASES, fusedRules);
