// The shim itself, run on a TensorRT that is made believe; see stand-in/make-believe.
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "ava";
import { tensor } from "../tensor.ts";
import { lacks, lie, makeBelieve } from "../testing.ts";
import { affine, arithmetic } from "../tiny-model.ts";
import { abiContract } from "./abi-contract.ts";
import { compileShim } from "./compile.ts";
import { loadLibrary, WHY } from "./ffi.ts";
import { NativeTensorRt } from "./open.ts";
import { must, STATUS } from "./status.ts";
import { build, trtContract } from "./testing.ts";

const compiled = lacks("gcc", "g++") ? test.skip : test;

for (const version of ["10.3.0", "8.5.2"] as const) {
	compiled(
		`compiled for ${version}, the shim keeps the ABI contract`,
		async (t) => {
			await abiContract(t, await makeBelieve(version));
		},
	);

	compiled(
		`compiled for ${version}, its engines keep the engine contract`,
		async (t) => {
			await trtContract(t, await makeBelieve(version));
		},
	);

	compiled(
		`compiled for ${version}, single precision is not rounded to TF32`,
		async (t) => {
			const trt = await NativeTensorRt.open(await makeBelieve(version));
			const last = () => trt.lastLog().at(-1)?.text;
			await build(trt, affine());
			t.is(last(), "made-believe an engine");
			await build(trt, affine(), { precision: "fp16" });
			t.is(last(), "made-believe an engine, TF32 allowed");
			await trt.close();
		},
	);

	compiled(`compiled for ${version}, it says what it runs on`, async (t) => {
		const trt = await NativeTensorRt.open(await makeBelieve(version));
		const { tensorrt, headers, device } = trt.facts;
		// 8.x does not say its build number.
		t.is(tensorrt, version === "8.5.2" ? "8.5.2" : "10.3.0.26");
		t.is(headers, version);
		t.regex(device, /make-believe/);
		await trt.close();
	});
}

const feeds = (n: bigint) => ({
	a: tensor("float32", [1, 1], Float32Array.of(2)),
	b: tensor("float32", [1, 1], Float32Array.of(3)),
	n: tensor("int64", [1], BigInt64Array.of(n)),
});

compiled(
	"where TensorRT has no int64, it is narrowed and widened, and never cut",
	async (t) => {
		const trt = await NativeTensorRt.open(await makeBelieve("8.5.2"));
		const { engine: plan, ports } = await build(trt, arithmetic());
		const own = await trt.deserialize(plan);
		t.is(own.tensors[2]?.dtype, "int32");
		t.is(own.inputs[2]?.dtype, "int32");
		await own.dispose();
		const engine = await trt.deserialize(plan, { ports });
		t.deepEqual(
			(await engine.run(feeds(-7n))).twice?.data,
			BigInt64Array.of(-14n),
		);
		await t.throwsAsync(engine.run(feeds(1n << 31n)), {
			code: "E_MODEL",
			message: /2147483648/,
		});
		t.deepEqual(
			(await engine.run(feeds(1n))).twice?.data,
			BigInt64Array.of(2n),
		);
		await engine.dispose();
		for (const options of [{ precision: "bf16" }, { level: 1 }] as const)
			await t.throwsAsync(build(trt, arithmetic(), options), {
				code: "E_OP_UNSUPPORTED",
			});
		await trt.close();
	},
);

compiled("a refit that lacks weights of a fused layer names one", async (t) => {
	const trt = await NativeTensorRt.open(await makeBelieve("10.3.0"));
	const { engine: plan } = await build(trt, affine(), { refit: true });
	const engine = await trt.deserialize(plan);
	const x = tensor("float32", [2], Float32Array.of(1, 2));
	const halves = tensor("float16", [2], Uint16Array.of(0, 0));
	const bad: [object, RegExp][] = [
		[{ scale: x }, /1 more weights.*"shift"/],
		[{ scale: halves, shift: x }, /type/],
		[
			{ scale: tensor("float32", [1], Float32Array.of(1)) },
			/2 elements, not 1/,
		],
	];
	for (const [weights, message] of bad)
		await t.throwsAsync(engine.refit(weights as { scale: typeof x }), {
			code: "E_ENGINE_REFIT",
			message,
		});
	const refitting = engine.refit({ scale: x, shift: x });
	const running = engine.run({ x });
	await refitting;
	t.deepEqual([...((await running).y?.data ?? [])], [2, 6]);
	await engine.dispose();
	await trt.close();
});

compiled(
	"want of memory, of a device and of numbers come through",
	async (t) => {
		const path = await makeBelieve("10.3.0");
		const trt = await NativeTensorRt.open(path);
		const { engine: plan, ports } = await build(trt, arithmetic());
		const engine = await trt.deserialize(plan, { ports });
		await lie(path, "memory-device");
		await t.throwsAsync(engine.run(feeds(1n)), { code: "E_MEMORY" });
		await lie(path, "memory-build");
		await t.throwsAsync(build(trt, arithmetic()), {
			code: "E_MEMORY",
			message: /OutOfMemory/,
		});
		await lie(path, "no-device");
		await t.throwsAsync(NativeTensorRt.open(path), {
			code: "E_TENSORRT",
			message: /no CUDA device/,
		});
		await lie(path, "nan");
		t.is((await engine.run(feeds(1n))).sum?.data[0], Number.NaN);
		await engine.dispose();
		await trt.close();
	},
);

compiled(
	"after a run that failed half-way nothing of it is under way",
	async (t) => {
		const path = await makeBelieve("10.3.0");
		const trt = await NativeTensorRt.open(path);
		const { engine: plan, ports } = await build(trt, arithmetic());
		const engine = await trt.deserialize(plan, { ports });
		const of = (n: number) => {
			const x = tensor("float32", [1, n], new Float32Array(n).fill(2));
			const m = tensor("int64", [n], new BigInt64Array(n).fill(3n));
			return { a: x, b: x, n: m };
		};
		await lie(path, "no-shapes");
		await t.throwsAsync(engine.run(of(1)), {
			code: "E_MODEL",
			message: /shapes of the outputs/,
		});
		await lie(path);
		// Larger than before: memory is given back that the run before may still read.
		const { sum, twice } = await engine.run(of(64));
		t.deepEqual([sum?.data[63], twice?.data[63]], [4, 6n]);
		await engine.dispose();
		await trt.close();
	},
);

compiled("a build is cancelled between two of its steps", async (t) => {
	const library = loadLibrary(await makeBelieve("10.3.0", "slow-build"));
	const [runtime, handle]: unknown[][] = [[null], [null]];
	must(library, "wv_runtime_open", runtime);
	must(library, "wv_build_open", runtime?.[0], handle);
	const build = handle?.[0];
	const onnx = affine();
	must(library, "wv_build_parse", build, onnx, onnx.length, null);
	const building = library.away("wv_build_run", build, Buffer.alloc(WHY));
	const at = { step: 0, steps: 0, phase: "" };
	while (at.step < 2) {
		library.call("wv_build_progress", build, at);
		await sleep(1);
	}
	t.deepEqual([at.phase, at.steps], ["Building Engine", 200]);
	library.call("wv_build_cancel", build);
	t.is(await building, STATUS.cancelled);
	library.call("wv_build_close", build);
	library.call("wv_runtime_close", runtime?.[0]);
});

compiled(
	"a compiler that is missing, and headers that are, are named",
	async (t) => {
		const out = join(tmpdir(), `wattvox-never-${process.pid}.so`);
		await t.throwsAsync(compileShim({ out, cxx: "no-such-compiler" }), {
			code: "E_TENSORRT",
			message: /no-such-compiler/,
		});
		await t.throwsAsync(
			compileShim({ out, flags: ["-nostdinc", "-nostdinc++"], libraries: [] }),
			{ code: "E_TENSORRT", message: /NvInfer|NvOnnxParser/ },
		);
		const stopped = AbortSignal.abort();
		await t.throwsAsync(compileShim({ out, signal: stopped }), {
			code: "E_INTERRUPTED",
		});
	},
);
