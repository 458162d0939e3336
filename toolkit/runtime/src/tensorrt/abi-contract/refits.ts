import type { Asserts } from "../../engine-contract.ts";
import { affine } from "../../tiny-model.ts";
import { WHY } from "../ffi.ts";
import { STATUS, text } from "../status.ts";
import { type Bench, dims, ended, floats } from "./bench.ts";

const { ok, argument, refit } = STATUS;

/** Weights by name; what is set is used by the next refit and by no other. */
export async function refits(
	t: Asserts,
	b: Bench,
	runtime: unknown,
): Promise<void> {
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
