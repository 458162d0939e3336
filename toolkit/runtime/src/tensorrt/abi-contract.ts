// What every library behind native/wattvox_trt.h must do, below everything that TypeScript adds.
import type { Asserts } from "../engine-contract.ts";
import { affine, arithmetic } from "../tiny-model.ts";
import { type FunctionName, loadLibrary, nativeTensor, WHY } from "./ffi.ts";
import { DTYPES, STATUS, text } from "./status.ts";

const {
	ok,
	pending,
	busy,
	argument,
	model: modelStatus,
	engine,
	refit,
} = STATUS;
const dims = (...d: number[]) => BigInt64Array.from(d, BigInt);

/** One library under test: calls with their status, and the last `why`. */
class Bench {
	readonly #library;
	readonly #t: Asserts;
	why = "";
	/** Whether the engine has int64 as int64; before TensorRT 10 it is int32. */
	wide = true;

	constructor(t: Asserts, path: string) {
		this.#t = t;
		this.#library = loadLibrary(path);
	}

	/** Calls away from this thread, as blocking calls are; `why` is added where `args` end in one. */
	async is(status: number, name: FunctionName, ...args: unknown[]) {
		const why = Buffer.alloc(WHY, 0xff);
		const has = args.at(-1) === "why";
		const given = has ? [...args.slice(0, -1), why] : args;
		const answer = await this.#library.away(name, ...given);
		this.why = has && answer !== ok ? text(why) : "";
		this.#t.is(answer, status, `${name}: ${this.why}`);
		if (has && answer !== ok) this.#t.true(this.why.length > 0, name);
	}

	/** The same, and hands out what the call made. */
	async made(name: FunctionName, ...args: unknown[]): Promise<unknown> {
		const out: unknown[] = [null];
		await this.is(ok, name, ...args, out, "why");
		return out[0];
	}

	close(name: FunctionName, handle: unknown): void {
		this.#library.call(name, handle);
	}

	call(name: FunctionName, ...args: unknown[]): number {
		return this.#library.call(name, ...args);
	}
}

/**
 * The suite. Each part opens and closes its own handles, in the orders that the header allows.
 * @param path the library's
 */
export async function abiContract(t: Asserts, path: string): Promise<void> {
	const bench = new Bench(t, path);
	await refusesNothing(t, bench);
	const runtime = await bench.made("wv_runtime_open");
	const plan = await builds(t, bench, runtime);
	await opens(t, bench, runtime, plan);
	await runs(t, bench, runtime, plan);
	await outlives(t, bench, runtime, plan);
	await refits(t, bench, runtime);
	logs(t, bench);
	bench.close("wv_runtime_close", runtime);
}

/** NULL for a handle is the caller's mistake, never a crash; closing it is none. */
async function refusesNothing(t: Asserts, b: Bench): Promise<void> {
	const out: unknown[] = [null];
	const many = dims(0, 0, 0, 0, 0, 0, 0, 0);
	const data = new Uint8Array(4);
	const calls: [FunctionName, ...unknown[]][] = [
		["wv_runtime_facts", null, {}, "why"],
		["wv_build_open", null, out, "why"],
		["wv_build_parse", null, data, 4, null, "why"],
		["wv_build_tensor", null, 0, {}],
		["wv_build_set", null, 0, 0, "why"],
		["wv_build_range", null, 0, "x", 1, many, many, many, "why"],
		["wv_build_cache", null, data, 4, "why"],
		["wv_build_run", null, "why"],
		["wv_build_progress", null, {}],
		["wv_build_size", null, 0, [0]],
		["wv_build_read", null, 0, data, 4],
		["wv_engine_open", null, data, 4, out, "why"],
		["wv_engine_tensor", null, 0, {}],
		["wv_engine_range", null, 0, 0, many, many, many],
		["wv_engine_weight", null, 0, Buffer.alloc(WHY)],
		["wv_engine_weight_set", null, "w", 0, data, 1, "why"],
		["wv_engine_refit", null, "why"],
		["wv_engine_serialize", null, [0], "why"],
		["wv_engine_take", null, data, 4],
		["wv_run_open", null, out, "why"],
		["wv_run_feed", null, 0, 1, many, data, 4, "why"],
		["wv_run_start", null, "why"],
		["wv_run_wait", null, 0, "why"],
		["wv_run_shape", null, 0, [0], many, [0]],
		["wv_run_read", null, 0, data, 4],
	];
	for (const [name, ...args] of calls) {
		const given = name === "wv_run_wait" ? [null, 0, null] : args;
		await b.is(argument, name, ...given);
	}
	t.is(out[0], null, "nothing was handed out");
	for (const name of [
		"wv_runtime_close",
		"wv_build_close",
		"wv_build_cancel",
		"wv_engine_close",
		"wv_run_close",
	] as const)
		b.close(name, null);
}

/** The order of a build's calls, and what each refuses; the plan of `arithmetic`, N from 1 to 4. */
async function builds(
	t: Asserts,
	b: Bench,
	runtime: unknown,
): Promise<Uint8Array> {
	const junk = await b.made("wv_build_open", runtime);
	await b.is(
		modelStatus,
		"wv_build_parse",
		junk,
		Uint8Array.of(9, 9, 9),
		3,
		null,
		"why",
	);
	await b.is(argument, "wv_build_run", junk, "why");
	b.close("wv_build_close", junk);

	const build = await b.made("wv_build_open", runtime);
	const onnx = arithmetic();
	await b.is(argument, "wv_build_run", build, "why");
	await b.is(argument, "wv_build_tensor", build, 0, {});
	await b.is(ok, "wv_build_parse", build, onnx, onnx.length, null, "why");
	await b.is(argument, "wv_build_parse", build, onnx, onnx.length, null, "why");
	const names: string[] = [];
	for (let i = 0; ; i++) {
		const raw = {};
		if (b.call("wv_build_tensor", build, i, raw) !== ok) break;
		const tensor = nativeTensor(raw);
		names.push(
			`${tensor.input ? "in" : "out"} ${tensor.name} ${tensor.dimNames}`,
		);
	}
	t.deepEqual(names.slice(0, 3), ["in a ,N", "in b ,N", "in n N"]);
	t.deepEqual(
		names.slice(3).map((n) => n.split(" ")[1]),
		["sum", "product", "twice"],
	);

	await b.is(argument, "wv_build_set", build, 99, 1, "why");
	await b.is(argument, "wv_build_set", build, 3, 0, "why");
	await b.is(argument, "wv_build_set", build, 4, 9, "why");
	await b.is(ok, "wv_build_set", build, 3, 1 << 20, "why");
	const range = (
		status: number,
		profile: number,
		name: string,
		...of: bigint[][]
	) =>
		b.is(
			status,
			"wv_build_range",
			...[build, profile, name, of[0]?.length ?? 0],
			...of.map((d) => BigInt64Array.from(d)),
			"why",
		);
	await range(argument, 1, "a", [1n, 1n], [1n, 2n], [1n, 4n]);
	await range(modelStatus, 0, "a", [1n, 4n], [1n, 2n], [1n, 1n]);
	for (const name of ["a", "b"])
		await range(ok, 0, name, [1n, 1n], [1n, 2n], [1n, 4n]);
	await range(ok, 0, "n", [1n], [2n], [4n]);
	await b.is(argument, "wv_build_size", build, 0, [0]);
	await b.is(ok, "wv_build_run", build, "why");
	await b.is(argument, "wv_build_run", build, "why");
	await b.is(argument, "wv_build_set", build, 2, 1, "why");
	const size = [0];
	await b.is(ok, "wv_build_size", build, 0, size);
	const plan = new Uint8Array(Number(size[0]));
	await b.is(argument, "wv_build_read", build, 0, plan, plan.length - 1);
	await b.is(argument, "wv_build_size", build, 2, [0]);
	await b.is(ok, "wv_build_read", build, 0, plan, plan.length);
	const progress: { phase?: string } = {};
	await b.is(ok, "wv_build_progress", build, progress);
	t.true((progress.phase?.length ?? 0) > 0);
	b.close("wv_build_close", build);
	return plan;
}

/** Engines are described by index, and what is no engine is refused. */
async function opens(
	t: Asserts,
	b: Bench,
	runtime: unknown,
	plan: Uint8Array,
): Promise<void> {
	const out: unknown[] = [null];
	for (const bytes of [
		Uint8Array.of(1, 2, 3),
		plan.subarray(0, plan.length / 2),
	])
		await b.is(
			engine,
			"wv_engine_open",
			runtime,
			bytes,
			bytes.length,
			out,
			"why",
		);
	t.is(out[0], null);
	const open = await b.made("wv_engine_open", runtime, plan, plan.length);
	const raw = {};
	await b.is(ok, "wv_engine_tensor", open, 2, raw);
	b.wide = nativeTensor(raw).dtype === DTYPES.indexOf("int64");
	const bounds = [0, 1, 2].map(() => dims(0, 0, 0, 0, 0, 0, 0, 0));
	await b.is(ok, "wv_engine_range", open, 0, 0, ...bounds);
	t.deepEqual(
		bounds.map((d) => [...d.subarray(0, 2)].map(Number)),
		[
			[1, 1],
			[1, 2],
			[1, 4],
		],
	);
	await b.is(argument, "wv_engine_range", open, 0, 1, ...bounds);
	await b.is(argument, "wv_engine_range", open, 3, 0, ...bounds);
	await b.is(argument, "wv_engine_tensor", open, 6, {});
	await b.is(argument, "wv_engine_tensor", open, -1, {});
	await b.is(argument, "wv_engine_weight", open, 0, Buffer.alloc(WHY));
	await b.is(refit, "wv_engine_refit", open, "why");
	b.close("wv_engine_close", open);
}

const floats = (...x: number[]) => Float32Array.from(x);

/** Feeds a, b and n of `arithmetic` with two elements each. */
async function feed(b: Bench, run: unknown): Promise<void> {
	await b.is(ok, "wv_run_feed", run, 0, 2, dims(1, 2), floats(1, 2), 8, "why");
	await b.is(ok, "wv_run_feed", run, 1, 2, dims(1, 2), floats(3, 4), 8, "why");
	await feedN(b, run, 5, 6);
}

async function feedN(b: Bench, run: unknown, ...n: number[]): Promise<void> {
	const data = b.wide ? dims(...n) : Int32Array.from(n);
	const shape = dims(n.length);
	await b.is(ok, "wv_run_feed", run, 2, 1, shape, data, data.byteLength, "why");
}

/** Waits for a run's end as the FFI does: in slices. */
async function ended(b: Bench, run: unknown): Promise<number> {
	for (;;) {
		const status = b.call("wv_run_wait", run, 50, null);
		if (status !== pending) return status;
	}
}

async function product(b: Bench, run: unknown): Promise<number[]> {
	const into = new Float32Array(2);
	await b.is(ok, "wv_run_read", run, 4, into, 8);
	return [...into];
}

/** One run at a time; its calls in order; what does not fit is named. */
async function runs(
	t: Asserts,
	b: Bench,
	runtime: unknown,
	plan: Uint8Array,
): Promise<void> {
	const open = await b.made("wv_engine_open", runtime, plan, plan.length);
	const run = await b.made("wv_run_open", open);
	await b.is(busy, "wv_run_open", open, [null], "why");
	const wrong: [number, Int32Array | BigInt64Array, Float32Array][] = [
		[9, dims(1, 2), floats(1, 2)],
		[3, dims(1, 2), floats(1, 2)],
		[0, dims(2), floats(1, 2)],
		[0, dims(1, 3), floats(1, 2)],
		[0, dims(1, -2), floats(1, 2)],
	];
	for (const [index, shape, data] of wrong)
		await b.is(
			argument,
			"wv_run_feed",
			...[run, index, shape.length, shape, data, data.byteLength],
			"why",
		);
	await b.is(argument, "wv_run_start", run, "why");
	t.true(/"a"/.test(b.why), b.why);
	await b.is(argument, "wv_run_wait", run, 0, null);
	await feed(b, run);
	await b.is(argument, "wv_run_read", run, 4, new Uint8Array(8), 8);
	await b.is(ok, "wv_run_start", run, "why");
	await b.is(argument, "wv_run_start", run, "why");
	t.is(await ended(b, run), ok);
	const rank = [0];
	const shape = dims(0, 0, 0, 0, 0, 0, 0, 0);
	const bytes = [0];
	await b.is(ok, "wv_run_shape", run, 4, rank, shape, bytes);
	t.deepEqual(
		[rank[0], ...shape.subarray(0, 2), Number(bytes[0])],
		[2, 1n, 2n, 8],
	);
	await b.is(argument, "wv_run_read", run, 4, new Uint8Array(4), 4);
	t.deepEqual(await product(b, run), [3, 8]);
	b.close("wv_run_close", run);

	// Beyond the profile; and the engine is none the worse for it.
	const large = await b.made("wv_run_open", open);
	const five = floats(1, 2, 3, 4, 5);
	for (const index of [0, 1])
		await b.is(ok, "wv_run_feed", large, index, 2, dims(1, 5), five, 20, "why");
	await feedN(b, large, 1, 2, 3, 4, 5);
	await b.is(ok, "wv_run_start", large, "why");
	t.is(await ended(b, large), STATUS.shape);
	await b.is(argument, "wv_run_read", large, 4, new Uint8Array(20), 20);
	b.close("wv_run_close", large);
	b.close("wv_engine_close", open);
}

/** Closed early: what was made from it goes on; an abandoned run leaves the engine free in the end. */
async function outlives(
	t: Asserts,
	b: Bench,
	runtime: unknown,
	plan: Uint8Array,
): Promise<void> {
	const open = await b.made("wv_engine_open", runtime, plan, plan.length);
	const left = await b.made("wv_run_open", open);
	await feed(b, left);
	await b.is(ok, "wv_run_start", left, "why");
	b.close("wv_run_close", left);
	const out: unknown[] = [null];
	while (b.call("wv_run_open", open, out, null) === busy)
		await new Promise((resolve) => setImmediate(resolve));
	const run = out[0];
	await feed(b, run);
	await b.is(ok, "wv_run_start", run, "why");
	b.close("wv_engine_close", open);
	t.is(await ended(b, run), ok);
	t.deepEqual(await product(b, run), [3, 8]);
	b.close("wv_run_close", run);

	const other = await b.made("wv_engine_open", runtime, plan, plan.length);
	const late = await b.made("wv_run_open", other);
	await feed(b, late);
	b.close("wv_engine_close", other);
	await b.is(argument, "wv_run_start", late, "why");
	b.close("wv_run_close", late);
}

/** Weights by name; what is set is used by the next refit and by no other. */
async function refits(t: Asserts, b: Bench, runtime: unknown): Promise<void> {
	const build = await b.made("wv_build_open", runtime);
	const onnx = affine();
	await b.is(ok, "wv_build_parse", build, onnx, onnx.length, null, "why");
	await b.is(ok, "wv_build_set", build, 2, 1, "why");
	await b.is(ok, "wv_build_run", build, "why");
	const size = [0];
	await b.is(ok, "wv_build_size", build, 0, size);
	const plan = new Uint8Array(Number(size[0]));
	await b.is(ok, "wv_build_read", build, 0, plan, plan.length);
	const open = await b.made("wv_engine_open", runtime, plan, plan.length);
	b.close("wv_build_close", build);

	const name = Buffer.alloc(WHY);
	const names = [0, 1].map((i) => {
		t.is(b.call("wv_engine_weight", open, i, name), ok);
		return text(name);
	});
	t.deepEqual(names.sort(), ["scale", "shift"]);
	await b.is(argument, "wv_engine_weight", open, 2, name);
	const y = async (of = open) => {
		const run = await b.made("wv_run_open", of);
		await b.is(ok, "wv_run_feed", run, 0, 1, dims(2), floats(1, 2), 8, "why");
		await b.is(ok, "wv_run_start", run, "why");
		t.is(await ended(b, run), ok);
		const into = new Float32Array(2);
		await b.is(ok, "wv_run_read", run, 1, into, 8);
		b.close("wv_run_close", run);
		return [...into];
	};
	const set = (weight: string, ...values: number[]) =>
		b.is(
			ok,
			"wv_engine_weight_set",
			...[open, weight, 0, floats(...values), values.length],
			"why",
		);
	t.deepEqual(await y(), [12, 26]);
	await set("nobody", 1, 1);
	await b.is(refit, "wv_engine_refit", open, "why");
	t.true(/nobody/.test(b.why), b.why);
	await set("scale", 1, 1, 1);
	await b.is(refit, "wv_engine_refit", open, "why");
	t.deepEqual(await y(), [12, 26], "what was refused left no trace");
	// Both, since TensorRT may fuse what they go into and then asks for all of it.
	await set("scale", 5, 5);
	await set("shift", 10, 20);
	await b.is(ok, "wv_engine_refit", open, "why");
	t.deepEqual(await y(), [15, 30]);
	await set("shift", 0, 0);
	await set("scale", 5, 5);
	await b.is(ok, "wv_engine_refit", open, "why");
	t.deepEqual(await y(), [5, 10]);
	await b.is(argument, "wv_engine_take", open, plan, plan.length);
	const other = await copied(b, runtime, open);
	t.deepEqual(await y(other), [5, 10], "it has the weights of the refit");
	await set("scale", 2, 2);
	await set("shift", 1, 1);
	await b.is(ok, "wv_engine_refit", open, "why");
	t.deepEqual(
		[await y(), await y(other)],
		[
			[3, 5],
			[5, 10],
		],
	);
	b.close("wv_engine_close", other);
	b.close("wv_engine_close", open);
	const plain = await b.made("wv_engine_open", runtime, plan, plan.length);
	const same = await copied(b, runtime, plain);
	b.close("wv_engine_close", plain);
	t.deepEqual(await y(same), [12, 26], "one that was never refitted");
	b.close("wv_engine_close", same);
}

/** What an engine serialises to, opened. */
async function copied(
	b: Bench,
	runtime: unknown,
	open: unknown,
): Promise<unknown> {
	const size = [0];
	await b.is(ok, "wv_engine_serialize", open, size, "why");
	const bytes = new Uint8Array(Number(size[0]));
	await b.is(argument, "wv_engine_take", open, bytes, bytes.length - 1);
	await b.is(ok, "wv_engine_take", open, bytes, bytes.length);
	await b.is(argument, "wv_engine_take", open, bytes, bytes.length);
	return b.made("wv_engine_open", runtime, bytes, bytes.length);
}

/** The ring's lines come in order and end. */
function logs(t: Asserts, b: Bench): void {
	const number = [0];
	const line = Buffer.alloc(WHY);
	let last = 0;
	while (b.call("wv_log", last, number, [0], line) === ok) {
		t.true(Number(number[0]) > last);
		last = Number(number[0]);
	}
	t.true(last > 0, "what went wrong was logged");
	t.is(b.call("wv_log", last, number, [0], line), pending);
}
