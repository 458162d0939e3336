import test from "ava";
import {
	type Draw,
	type InferCase,
	inferenceTests,
} from "./_infer-testing.test.ts";
import { normRules } from "./infer-norm.ts";

const CHANNELS = 4;
const picture = (d: Draw) =>
	d.float([d.int(1, 2), CHANNELS, d.int(2, 3), d.int(1, 3)]);
const gains = (d: Draw, n: number) =>
	Array.from({ length: n }, () => d.float([CHANNELS]));

const CASES: Record<string, InferCase> = {
	BatchNormalization: {
		build: (d) => {
			const training = d.flag();
			return d.b.ops(
				"BatchNormalization",
				[picture(d), ...gains(d, 4)],
				training ? 3 : 1,
				{ training_mode: Number(training) },
			);
		},
	},
	InstanceNormalization: {
		build: (d) => [
			d.b.op("InstanceNormalization", [picture(d), ...gains(d, 2)]),
		],
	},
	GroupNormalization: {
		opset: 21,
		build: (d) => [
			d.b.op("GroupNormalization", [picture(d), ...gains(d, 2)], {
				num_groups: 2,
			}),
		],
	},
	RMSNormalization: {
		opset: 23,
		build: (d) => [
			d.b.op("RMSNormalization", [
				d.float([...d.shape(0, 2), CHANNELS]),
				...gains(d, 1),
			]),
		],
	},
	LpNormalization: {
		build: (d) => [d.b.op("LpNormalization", [picture(d)], { axis: 1 })],
	},
	MeanVarianceNormalization: {
		build: (d) => [d.b.op("MeanVarianceNormalization", [picture(d)])],
	},
	LRN: { build: (d) => [d.b.op("LRN", [picture(d)], { size: 3 })] },
};

inferenceTests(test, CASES, normRules);
