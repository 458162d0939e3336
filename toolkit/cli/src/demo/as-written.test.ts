import test from "ava";
import { asWritten } from "./as-written.ts";

const TEXT =
	"He would lift the lid slowly,\nand show me the queen.\nDo not rush, he said; don't!";

test("punctuation comes back, line ends become spaces", (t) => {
	t.is(
		asWritten(TEXT, "and show me the queen Do not rush"),
		"and show me the queen. Do not rush,",
	);
	t.is(asWritten(TEXT, "he said don't"), "he said; don't!");
	t.is(asWritten(TEXT, "The Lid slowly"), "the lid slowly,");
});

test("what the text does not hold stays as it is", (t) => {
	t.is(asWritten(TEXT, "the queens"), "the queens");
	t.is(asWritten(TEXT, "(a+)+$"), "(a+)+$");
	t.is(asWritten(TEXT, ""), "");
	t.is(asWritten("", "x"), "x");
});
