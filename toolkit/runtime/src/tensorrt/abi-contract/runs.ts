import type { Asserts } from "../../engine-contract.ts";
import { STATUS } from "../status.ts";
import {
	type Bench,
	dims,
	ended,
	feed,
	feedN,
	floats,
	product,
} from "./bench.ts";

const { ok, busy, argument } = STATUS;

/** One run at a time; its calls in order; what does not fit is named. */
export async function runs(
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
export async function outlives(
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
