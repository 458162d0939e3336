import { readFile } from "node:fs/promises";
import test from "ava";
import { RULES, ZERO_GRADIENT } from "./rules.ts";
import { operatorSupport, operatorsPage } from "./support.ts";

test("docs/OPERATORS.md says what the rules are", async (t) => {
	const page = new URL("../../../docs/OPERATORS.md", import.meta.url);
	t.true(
		(await readFile(page, "utf8")) === operatorsPage(),
		"run `npm run operators`",
	);
});

test("no operator both has a rule and is said to pass nothing", (t) => {
	t.deepEqual(
		[...ZERO_GRADIENT].filter((op) => Object.hasOwn(RULES, op)),
		[],
	);
	const ops = operatorSupport().map((o) => o.op);
	t.is(new Set(ops).size, ops.length);
	for (const op of ["MatMul", "Floor", "Loop"]) t.true(ops.includes(op));
});
