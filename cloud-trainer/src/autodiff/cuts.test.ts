import test from "ava";
import { ruleTests } from "./_rule-tests.test.ts";
import { cuts } from "./cuts.ts";
import type { Case } from "./testing.ts";

const FAR = 2 ** 31 - 1;

/** Bounds and steps of any kind, constant or fed; symbols or sizes. */
const slice: Case = (d) => {
	const shape = d.shape(1);
	const axes = d.axes(shape.length, 1);
	const stepped = d.flag();
	const steps = axes.map(() => (stepped ? d.pick([1, 2, 3, -1, -2]) : 1));
	const bounds = axes.map((axis, i): [number, number] => {
		const size = shape.at(axis) as number;
		const ends = d.pick([FAR, d.int(-size, size)]);
		const back = (steps[i] as number) < 0;
		// Inference supposes that a symbol's size is no smaller than what is cut off.
		if (d.symbolic && size > 1 && !back)
			return [d.int(0, 1), d.pick([FAR, -1, 1 - size])];
		return [d.int(-size - 1, size), back && ends === FAR ? -FAR : ends];
	});
	const list = (values: number[]) =>
		d.int(0, 4) ? d.b.ints(values) : d.setting(values);
	const y = d.b.op("Slice", [
		d.active(shape),
		list(bounds.map(([s]) => s)),
		list(bounds.map(([, e]) => e)),
		d.b.ints(axes),
		...(stepped ? [list(steps)] : []),
	]);
	// An empty slice has nothing to check.
	return d.b.concat([d.b.reshape(y, [-1]), d.active([1])], 0);
};

const CASES: Record<keyof typeof cuts, Case> = {
	Slice: slice,
	Pad: (d) => {
		const opset = d.b.graph.opsets[""] ?? 0;
		const shape = d.shape(1, 3);
		const rank = shape.length;
		const mode = d.pick([
			...(opset >= 19 ? ["wrap"] : []),
			"constant",
			"constant",
			"reflect",
			"edge",
		]);
		const axes = d.axes(rank, 1);
		const some = opset >= 18 && d.flag();
		const over = some ? axes.map((a) => shape.at(a) as number) : shape;
		// No border is wider than what it repeats, nothing is cut off whole.
		const pads = [...over, ...over].map((size, i) => {
			if (mode === "constant")
				return i < over.length ? d.int(size > 1 ? -1 : 0, 2) : d.int(0, 2);
			return d.int(0, Math.min(2, mode === "reflect" ? size - 1 : size));
		});
		const filling = d.pick([
			() => undefined,
			() => d.b.scalar(0.5),
			() => d.active([]),
		])();
		return d.b.op(
			"Pad",
			[
				d.active(shape),
				d.int(0, 3) ? d.b.ints(pads) : d.setting(pads),
				mode === "constant" ? filling : undefined,
				some
					? mode === "constant" && d.flag()
						? d.setting(axes)
						: d.b.ints(axes)
					: undefined,
			],
			{ mode },
		);
	},
	Tile: (d) => {
		const shape = d.shape();
		const repeats = shape.map(() => d.int(1, 3));
		return d.b.op("Tile", [
			d.active(shape),
			d.int(0, 3) ? d.b.ints(repeats) : d.setting(repeats),
		]);
	},
	Trilu: (d) => {
		const k = d.pick([() => undefined, () => d.scalarSetting(d.int(-2, 2))])();
		return d.b.op("Trilu", [d.active(d.shape(2)), k], { upper: d.int(0, 1) });
	},
	Expand: (d) => {
		const shape = d.shape();
		const target = d.flag() ? shape : d.partner(shape);
		return d.b.op("Expand", [
			d.active(d.partner(shape)),
			d.int(0, 3) ? d.b.ints(target) : d.setting(target),
		]);
	},
};

ruleTests(test, CASES, cuts, {
	opsets: [[14, 18, 19, 22]],
	runs: (op) => (op === "Pad" || op === "Slice" ? 40 : 10),
});
