import { floats, int64s } from "@wattvox/onnx";
import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { resizing } from "./resize.ts";
import { type Case, type Draw, threadDifference } from "./testing.ts";

const COORDINATES = [
	"half_pixel",
	"pytorch_half_pixel",
	"align_corners",
	"asymmetric",
];
const ROUNDING = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"];

/** Factors that keep at least one element. */
const factor = (d: Draw, size: number): number =>
	d.pick([1, 2, 3, 0.5, 1.5, 2.3, 0.7].filter((f) => Math.floor(size * f) > 0));

const resize =
	(mode: "nearest" | "linear" | "cubic", opset: number): Case =>
	(d) => {
		const rank = mode === "cubic" ? 2 : d.int(1, 2);
		const sizes = d.list(rank, 2, 4);
		const x = d.active([d.int(1, 2), 2, ...sizes]);
		const coordinates =
			opset >= 19 ? [...COORDINATES, "half_pixel_symmetric"] : COORDINATES;
		const some = opset >= 18 && d.flag();
		const lead = some ? [] : [1, 1];
		const attrs = {
			mode,
			coordinate_transformation_mode: d.pick(coordinates),
			...(mode === "nearest" ? { nearest_mode: d.pick(ROUNDING) } : {}),
			...(some ? { axes: sizes.map((_, i) => i - rank) } : {}),
			...(opset >= 18 && mode !== "nearest" && d.flag()
				? { antialias: 1 }
				: {}),
		};
		// Sizes of a symbol may be given where the others are: with axes.
		if (d.flag() && (some || !d.symbolic)) {
			const wanted = sizes.map(() => d.int(1, 6));
			const front = some ? [] : (x.shape as number[]).slice(0, 2);
			return d.b.op(
				"Resize",
				[x, undefined, undefined, d.b.constant(int64s([...front, ...wanted]))],
				attrs,
			);
		}
		const factors = floats([...lead, ...sizes.map((s) => factor(d, s))]);
		// Now and then the factors are computed.
		const scales = d.int(0, 3)
			? d.b.constant(factors)
			: d.b.op("Identity", [d.b.constant(factors)]);
		return d.b.op("Resize", [x, undefined, scales], attrs);
	};

const CASES: Record<string, Case> = {
	"Resize to nearest": resize("nearest", 17),
	"Resize linearly": resize("linear", 17),
	DepthToSpace: (d) => {
		const blocksize = d.int(1, 2);
		const channels = d.int(1, 2) * blocksize ** 2;
		return d.b.op(
			"DepthToSpace",
			[d.active([d.int(1, 2), channels, ...d.list(2, 1, 3)], { fixed: [1] })],
			{ blocksize, mode: d.pick(["DCR", "CRD"]) },
		);
	},
	SpaceToDepth: (d) => {
		const blocksize = d.int(1, 2);
		const sizes = d.list(2, 1, 2).map((v) => v * blocksize);
		return d.b.op("SpaceToDepth", [d.active([d.int(1, 2), 2, ...sizes])], {
			blocksize,
		});
	},
};

ruleTests(test, CASES, resizing, {
	opsets: [13, 17],
	runs: 15,
	later: {
		"Resize to nearest, newer": [19, resize("nearest", 19)],
		"Resize linearly, newer": [19, resize("linear", 19)],
		"Resize by cubics": [19, resize("cubic", 19)],
	},
});

for (const mode of ["nearest", "linear"])
	test(`${mode}: one thread and four agree`, async (t) => {
		const worst = await threadDifference((d) =>
			d.b.op(
				"Resize",
				[
					d.active([2, 8, 16, 16]),
					undefined,
					d.b.constant(floats([1, 1, 2, 2])),
				],
				{ mode },
			),
		);
		t.true(worst < 1e-5);
	});
