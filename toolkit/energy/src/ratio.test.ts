import test from "ava";
import { figure, ratio, student95 } from "./ratio.ts";

test("Student's t agrees with the table", (t) => {
	const table: [number, number][] = [
		[1, 12.706],
		[2, 4.303],
		[3, 3.182],
		[5, 2.571],
		[11, 2.201],
		[30, 2.042],
		[1000, 1.962],
	];
	for (const [df, quantile] of table)
		t.true(Math.abs(student95(df) / quantile - 1) < 0.01, `df ${df}`);
});

test("a ratio without scatter is certain, one of a single block is not known", (t) => {
	const exact = [
		{ x: 1, y: 3 },
		{ x: 4, y: 12 },
	];
	t.deepEqual(figure(ratio(exact)), { value: 3, plusMinus: 0 });
	t.deepEqual(figure(ratio(exact.slice(1))), { value: 3, plusMinus: null });
});
