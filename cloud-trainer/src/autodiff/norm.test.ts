import { float, floats, GraphBuilder } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { differentiate } from "./index.ts";
import { norm } from "./norm.ts";
import {
	type Case,
	type Draw,
	gradientsAt,
	threadDifference,
} from "./testing.ts";

const EPSILON = [1e-5, 0.1];
const fixed = { fixed: "all" } as const;
/** Values to be normalised. */
const spread = { alternating: true, fixed: [1] };
/** Several positions, so that nothing is normalised to its signs alone. */
const places = (d: Draw): number[] => d.list(d.int(1, 2), 3, 4);

const BATCH: Case = (d) => {
	const channels = d.int(1, 3);
	const shape = [d.int(1, 2), channels, ...(d.flag() ? places(d) : [])];
	const perChannel = (positive = false) =>
		d.active([channels], { ...fixed, positive, size: [0.5, 2] });
	return d.b.op(
		"BatchNormalization",
		[
			d.active(shape, { fixed: [1] }),
			perChannel(),
			perChannel(),
			perChannel(),
			perChannel(true),
		],
		{ epsilon: float(d.pick(EPSILON)) },
	);
};

const CASES: Record<string, Case> = {
	BatchNormalization: BATCH,
	InstanceNormalization: (d) => {
		const channels = d.int(1, 3);
		return d.b.op(
			"InstanceNormalization",
			[
				d.active([d.int(1, 2), channels, ...places(d)], spread),
				d.active([channels], fixed),
				d.active([channels], fixed),
			],
			{ epsilon: float(d.pick(EPSILON)) },
		);
	},
	LpNormalization: (d) => {
		const shape = [...d.shape(0, 2), 3];
		return d.b.op("LpNormalization", [d.active(shape, { size: [0.5, 2] })], {
			axis: d.axis(shape.length),
			p: d.int(1, 2),
		});
	},
	MeanVarianceNormalization: (d) => {
		const shape = [d.int(1, 2), d.int(1, 2), 3, d.int(1, 3)];
		return d.b.op(
			"MeanVarianceNormalization",
			[d.active(shape, spread)],
			d.flag() ? { axes: [2, 3] } : {},
		);
	},
	LRN: (d) =>
		d.b.op("LRN", [d.active([d.int(1, 2), d.int(1, 5), ...d.list(2, 1, 3)])], {
			size: d.pick([1, 3, 5]),
			alpha: float(d.pick([0.1, 1])),
			beta: float(d.pick([0.5, 0.75])),
			bias: float(d.pick([1, 2])),
		}),
};
/** Cases that ONNX Runtime has only from an opset on. */
const LATER: Record<string, [number, Case]> = {
	"BatchNormalization with training_mode": [
		17,
		(d) => {
			const channels = d.int(1, 3);
			const known = () =>
				d.b.constant({
					dtype: "float32",
					dims: [channels],
					data: new Float32Array(channels).fill(1),
				});
			return d.b.ops(
				"BatchNormalization",
				[
					d.active([d.int(2, 3), channels, ...places(d)], spread),
					d.active([channels], fixed),
					d.active([channels], fixed),
					known(),
					known(),
				],
				3,
				{ epsilon: float(d.pick(EPSILON)), training_mode: 1 },
			)[0] as NonNullable<ReturnType<Case>>;
		},
	],
	"GroupNormalization per group": [18, groupNorm(false)],
	"GroupNormalization per channel": [21, groupNorm(true)],
	RMSNormalization: [
		23,
		(d) => {
			const shape = [...d.shape(0, 2), d.int(2, 4)];
			const axis = d.axis(shape.length);
			return d.b.op(
				"RMSNormalization",
				[d.active(shape, { fixed: [-1] }), d.active(shape.slice(axis), fixed)],
				{ axis, epsilon: float(d.pick(EPSILON)) },
			);
		},
	],
};

function groupNorm(perChannel: boolean): Case {
	return (d) => {
		const groups = d.int(1, 2);
		const channels = groups * d.int(1, 2);
		const own = perChannel ? channels : groups;
		return d.b.op(
			"GroupNormalization",
			[
				d.active([d.int(1, 2), channels, ...places(d)], spread),
				d.active([own], fixed),
				d.active([own], fixed),
			],
			{ num_groups: groups, epsilon: float(d.pick(EPSILON)) },
		);
	};
}

ruleTests(test, CASES, norm, { opsets: [13, 17, 22], later: LATER });

test("one thread and four agree", async (t) => {
	const worst = await threadDifference((d) => {
		const vector = () => d.active([16], fixed);
		const x = d.active([4, 16, 12, 12]);
		const y = d.b.op("InstanceNormalization", [x, vector(), vector()]);
		return d.b.op("BatchNormalization", [
			y,
			vector(),
			vector(),
			vector(),
			d.active([16], { ...fixed, positive: true }),
		]);
	});
	t.true(worst < 1e-5);
});

test("a row of zeros has no direction, and no gradient", async (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", [2, 2]);
	const y = b.op("LpNormalization", [x]);
	const [dx] = await gradientsAt(b.graph, y.name, ["x"], {
		x: floats([0, 0, 3, 4], [2, 2]),
	});
	t.deepEqual(
		dx?.map((v) => Math.round(v * 1e6) / 1e6),
		[0, 0, 0.032, -0.024],
	);
});

test("running statistics that something uses are refused", (t) => {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["N", 2]);
	const one = () => b.constant(floats([1, 1]));
	const [, mean] = b.ops(
		"BatchNormalization",
		[x, one(), one(), one(), one()],
		3,
		{ training_mode: 1 },
	);
	t.throws(() => differentiate(b.graph, String(mean?.name), ["x"]), {
		code: "E_OP_UNSUPPORTED",
		message: /BatchNormalization \(node .*running/,
	});
});
