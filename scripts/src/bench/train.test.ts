import { execFile } from "node:child_process";
import { promisify } from "node:util";
import test from "ava";
import { opTimes } from "./train/profile.ts";
import { findTorch } from "./train/sides.ts";
import type { TrainBench } from "./train.ts";

test("without PyTorch our side alone is timed, and that is said", async (t) => {
	const program = new URL("../bench.js", import.meta.url).pathname;
	const { stdout, stderr } = await promisify(execFile)(process.execPath, [
		program,
		"train",
		...["--size", "tiny", "--models", "transformer", "--threads", "1"],
		...["--rounds", "1", "--python", "/no/such/python", "--json"],
	]);
	t.regex(stderr, /no python3 with torch/);
	const { torch, rows } = JSON.parse(stdout) as TrainBench;
	t.is(torch, null);
	t.deepEqual(
		rows.map((r) => r.mode),
		["lora", "full"],
	);
	for (const row of rows) {
		t.is(row.torch, null);
		t.true(row.ours.ms > 0 && row.ours.memory > 0);
		t.true(Number.isFinite(row.loss) && row.norm > 0);
		t.true(row.ops.some((o) => o.op === "MatMul" && (o.gflops ?? 0) > 0));
	}
	// The same weights and batch: adapters that begin at nothing leave the loss as it is.
	t.true(Math.abs((rows[0]?.loss ?? 0) - (rows[1]?.loss ?? 1)) < 1e-5);
});

test("an interpreter without torch is passed over", async (t) => {
	t.is(await findTorch(["/no/such/python", process.execPath]), undefined);
});

test("operators are summed by kind, products with their arithmetic", (t) => {
	const event = (
		op: string,
		dur: number,
		inputs: number[][],
		output: number[],
	) => ({
		cat: "Node",
		name: `${op}_kernel_time`,
		dur,
		args: {
			op_name: op,
			input_type_shape: inputs.map((float) => ({ float })),
			output_type_shape: [{ float: output }],
		},
	});
	const [x, weight] = [
		[2, 5, 7],
		[16, 4, 3],
	];
	const times = opTimes(
		[
			event("Add", 10, [[8], [8]], [8]),
			event("MatMul", 100, [x, [7, 3]], [2, 5, 3]),
			event("MatMul", 100, [x, [7, 3]], [2, 5, 3]),
			event("Conv", 1000, [[1, 4, 10], weight], [1, 16, 10]),
			{ cat: "Session", name: "run", dur: 5000, args: {} },
		],
		2,
	);
	t.deepEqual(
		times.map(({ op, ms, count }) => [op, ms, count]),
		[
			["Conv", 0.5, 1],
			["MatMul", 0.1, 1],
			["Add", 0.005, 1],
		],
	);
	const [conv, matmul, add] = times;
	t.is(add?.gflops, undefined);
	t.true(Math.abs((matmul?.gflops ?? 0) - (2 * 30 * 7) / 1e5) < 1e-9);
	// 2 x 160 outputs x 12 inputs each, in a millisecond.
	t.true(Math.abs((conv?.gflops ?? 0) - (2 * 160 * 12) / 1e6) < 1e-9);
});
