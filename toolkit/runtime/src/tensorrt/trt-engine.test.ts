import test from "ava";
import { tensor } from "../tensor.ts";
import { lacks, lie, olderShim, standIn } from "../testing.ts";
import { arithmetic, heavy } from "../tiny-model.ts";
import { NativeTensorRt } from "./open.ts";
import { build, portsOf, trtContract } from "./testing.ts";
import type { Ports } from "./types.ts";

const compiled = lacks("gcc") ? test.skip : test;

compiled("TensorRT's engine keeps the engine contract", async (t) => {
	await trtContract(t, await standIn());
	const trt = await NativeTensorRt.open(await standIn());
	await trt.close();
	await trt.close();
	await t.throwsAsync(trt.deserialize(new Uint8Array(8)), { code: "E_BUG" });
});

const one = () => ({
	a: tensor("float32", [1, 1], Float32Array.of(2)),
	b: tensor("float32", [1, 1], Float32Array.of(3)),
	n: tensor("int64", [1], BigInt64Array.of(4n)),
});

compiled(
	"an engine outlives its runtime, and describes itself without ports",
	async (t) => {
		const trt = await NativeTensorRt.open(await standIn());
		const { engine: plan } = await build(trt, arithmetic());
		const engine = await trt.deserialize(plan);
		await trt.close();
		t.deepEqual(engine.inputs[0], {
			name: "a",
			dtype: "float32",
			shape: [1, ""],
		});
		t.deepEqual(engine.tensors[2], {
			name: "n",
			input: true,
			dtype: "int64",
			shape: [-1],
			profiles: [{ min: [1], opt: [2], max: [512] }],
		});
		t.deepEqual(engine.refittable, []);
		t.is((await engine.run(one())).sum?.data[0], 5);
		await engine.dispose();
	},
);

compiled(
	"shapes outside every profile are refused, the second profile serves where the first does not",
	async (t) => {
		const trt = await NativeTensorRt.open(await standIn());
		const ports = await portsOf(heavy(1));
		const square = (n: number) => ({
			x: { min: [n, n], opt: [n, n], max: [n, n] },
		});
		const { engine: plan } = await build(trt, heavy(1), {
			profiles: [square(2), square(4)],
		});
		const engine = await trt.deserialize(plan, { ports });
		const x = (n: number) => ({
			x: tensor("float32", [n, n], new Float32Array(n * n).fill(1)),
		});
		t.is((await engine.run(x(4))).y?.data[0], 4);
		t.is((await engine.run(x(2))).y?.data[0], 2);
		await t.throwsAsync(engine.run(x(3)), {
			code: "E_MODEL",
			message: /profile/,
		});
		t.is((await engine.run(x(4))).y?.data[0], 4);
		await engine.dispose();
		await trt.close();
	},
);

compiled("ports that are not the engine's are refused", async (t) => {
	const trt = await NativeTensorRt.open(await standIn());
	const { engine, ports } = await build(trt, arithmetic());
	const [a, ...rest] = ports.inputs;
	if (!a) throw new Error("no input");
	const bad: [Ports, RegExp][] = [
		[{ ...ports, inputs: rest }, /model has no input "a"/],
		[
			{ ...ports, inputs: [{ ...a, name: "z" }, ...rest] },
			/engine has no input "z"/,
		],
		[
			{ ...ports, inputs: [{ ...a, dtype: "int32" }, ...rest] },
			/"a" is float32/,
		],
		[{ ...ports, inputs: [{ ...a, shape: [1] }, ...rest] }, /shape/],
		[{ ...ports, outputs: [] }, /model has no output "sum"/],
	];
	for (const [wrong, message] of bad)
		await t.throwsAsync(trt.deserialize(engine, { ports: wrong }), {
			code: "E_MODEL",
			message,
		});
	await trt.close();
});

compiled(
	"what the library does wrong in a run is an error or a number, and the process goes on",
	async (t) => {
		const path = await standIn();
		const trt = await NativeTensorRt.open(path);
		const { engine: plan, ports } = await build(trt, arithmetic());
		const engine = await trt.deserialize(plan, { ports });
		await lie(path, "nan");
		t.is((await engine.run(one())).sum?.data[0], Number.NaN);
		await lie(path, "wrong");
		t.is((await engine.run(one())).sum?.data[0], 7.5);
		await lie(path, "memory-device");
		await t.throwsAsync(engine.run(one()), { code: "E_MEMORY" });
		t.true(trt.lastLog().some((line) => line.level === "error"));
		await lie(path);
		t.is((await engine.run(one())).sum?.data[0], 5);

		await lie(path, "endless-run");
		const stop = new AbortController();
		const running = engine.run(one(), { signal: stop.signal });
		stop.abort();
		await t.throwsAsync(running, { code: "E_INTERRUPTED" });
		const queued = engine.run(one());
		await lie(path);
		t.is((await queued).sum?.data[0], 5);
		await engine.dispose();
		await trt.close();
	},
);

compiled(
	"a damaged engine, one of another version and no engine are refused",
	async (t) => {
		const path = await standIn("corrupt");
		const trt = await NativeTensorRt.open(path);
		const { engine: damaged } = await build(trt, arithmetic());
		await lie(path);
		const { engine } = await build(trt, arithmetic());
		for (const bytes of [damaged, new Uint8Array(3), engine.subarray(0, 300)])
			await t.throwsAsync(trt.deserialize(bytes), { code: "E_ENGINE_LOAD" });
		await lie(path, "other-version");
		const other = await NativeTensorRt.open(path);
		t.is(other.facts.tensorrt, "10.3.0.30");
		await t.throwsAsync(other.deserialize(engine), {
			code: "E_ENGINE_LOAD",
			message: /10\.3\.0\.26.*10\.3\.0\.30/,
		});
		const stop = new AbortController();
		const loading = trt.deserialize(engine, { signal: stop.signal });
		stop.abort();
		await t.throwsAsync(loading, { code: "E_INTERRUPTED" });
		await other.close();
		await trt.close();
	},
);

compiled(
	"a library that is none, of another ABI or without a device is E_TENSORRT",
	async (t) => {
		await t.throwsAsync(NativeTensorRt.open("/nowhere/libwattvox_trt.so"), {
			code: "E_TENSORRT",
			message: /nowhere/,
		});
		await t.throwsAsync(NativeTensorRt.open("libm.so.6"), {
			code: "E_TENSORRT",
			message: /wv_/,
		});
		await t.throwsAsync(NativeTensorRt.open(await standIn("abi")), {
			code: "E_TENSORRT",
			message: /ABI 3.*compile the shim again/,
		});
		await t.throwsAsync(NativeTensorRt.open(await olderShim()), {
			code: "E_TENSORRT",
			message: /has ABI 1, .* speaks 2: compile the shim again/,
		});
		await t.throwsAsync(NativeTensorRt.open(await standIn("no-device")), {
			code: "E_TENSORRT",
			message: /CUDA device/,
		});
		const trt = await NativeTensorRt.open(await standIn());
		t.deepEqual(
			{ ...trt.facts, l4t: null, module: null },
			{
				tensorrt: "10.3.0.26",
				headers: "10.3.0",
				cuda: "12.6",
				cudaDriver: "12.6",
				computeCapability: "8.7",
				device: "stand-in (ONNX Runtime on the processor)",
				multiprocessors: 8,
				memoryBytes: 2 ** 33,
				l4t: null,
				module: null,
			},
		);
		await trt.close();
	},
);

compiled("the event loop turns while an engine runs", async (t) => {
	const trt = await NativeTensorRt.open(await standIn());
	const { engine: plan, ports } = await build(trt, heavy(200));
	const engine = await trt.deserialize(plan, { ports });
	const n = 160;
	let turns = 0;
	const timer = setInterval(() => turns++, 1);
	await engine.run({
		x: tensor("float32", [n, n], new Float32Array(n * n).fill(1 / n)),
	});
	clearInterval(timer);
	await engine.dispose();
	await trt.close();
	t.true(turns >= 3, `${turns} turns`);
});
