import test from "ava";
import { engineKey } from "./key.ts";
import type { BuildOptions, Profile, TensorRtFacts } from "./types.ts";

const facts: TensorRtFacts = {
	tensorrt: "10.3.0.30",
	headers: "10.3.0",
	cuda: "12.6",
	cudaDriver: "12.6",
	computeCapability: "8.7",
	device: "Orin",
	multiprocessors: 8,
	memoryBytes: 8e9,
	l4t: "36.4.3",
	module: "NVIDIA Jetson Orin Nano",
};
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
