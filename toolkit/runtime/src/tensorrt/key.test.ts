import test from "ava";
import { ORIN } from "../testing.ts";
import { engineKey } from "./key.ts";
import type { BuildOptions, Profile, TensorRtFacts } from "./types.ts";

const facts: TensorRtFacts = ORIN;
const range = { min: [1], opt: [2], max: [3] };
const text = (options?: BuildOptions, f = facts, onnx = "ab") =>
	JSON.stringify(engineKey(f, onnx, options));

test("defaults written out and the order of names change nothing", (t) => {
	t.is(
		text(),
		text({ precision: "fp32", refit: false, workspaceBytes: 2 ** 29 }),
	);
	const profile = (...names: string[]): Profile =>
		Object.fromEntries(names.map((n) => [n, { ...range }]));
	const other = { max: [3], min: [1], opt: [2] };
	t.is(
		text({ profiles: [profile("a", "b")] }),
		text({ profiles: [{ b: other, a: other }] }),
	);
});

test("every fact that limits an engine, and every option, changes the key", (t) => {
	const keys = [
		text(),
		text({}, facts, "cd"),
		...Object.entries(facts)
			// the headers and how much memory there is do not bind an engine
			.filter(([name]) => name !== "headers" && name !== "memoryBytes")
			.map(([name, value]) =>
				text({}, { ...facts, [name]: typeof value === "number" ? 99 : "99" }),
			),
		text({ precision: "fp16" }),
		text({ refit: true }),
		text({ workspaceBytes: 1 }),
		text({ level: 0 }),
		text({ profiles: [{ x: range }] }),
		text({ profiles: [{ x: range }, { x: range }] }),
		text({ profiles: [{ x: { ...range, max: [4] } }] }),
	];
	t.is(new Set(keys).size, keys.length);
});
