import test from "ava";
import fc from "fast-check";
import { checkId, isId } from "./ids.ts";

test("ids of letters, digits, _ and - pass, up to 64", (t) => {
	for (const id of ["a", "jetson-01", "_x_", "A".repeat(64)]) {
		t.true(isId(id));
		t.is(checkId(id, "device id"), id);
	}
});

for (const bad of [
	"",
	"A".repeat(65),
	"a/b",
	"+",
	"#",
	"..",
	"a b",
	"ä",
	"a\n",
])
	test(`not an id: ${JSON.stringify(bad).slice(0, 20)}`, (t) => {
		t.false(isId(bad));
		t.throws(() => checkId(bad, "device id"), {
			code: "E_USAGE",
			message: /^device id /,
		});
	});

test("whatever passes cannot leave its topic level or folder", (t) => {
	fc.assert(
		fc.property(fc.string(), (s) => !isId(s) || !/[/+#.\\\s\0]/.test(s)),
	);
	t.false(isId(7));
	t.false(isId(undefined));
});
