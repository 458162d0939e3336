import test from "ava";
import { facts, table } from "./table.ts";

test("columns line up, numbers to the right, no trailing blanks", (t) => {
	t.is(
		table(
			["stage", "time", "result"],
			[
				["align", "4.1 s", "ok"],
				["fine-tune", "92 s", ""],
			],
			["left", "right"],
		),
		[
			"stage       time  result",
			"---------  -----  ------",
			"align      4.1 s  ok",
			"fine-tune   92 s",
		].join("\n"),
	);
});

test("colour codes and accents take no width of their own", (t) => {
	t.is(
		facts([
			["a", "1"],
			["\u001b[1mémile\u001b[0m", "2"],
		]),
		"a      1\n\u001b[1mémile\u001b[0m  2",
	);
});
