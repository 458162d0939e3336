import type { Asserts } from "../../engine-contract.ts";
import { nativeTensor, WHY } from "../ffi.ts";
import { DTYPES, STATUS } from "../status.ts";
import { type Bench, dims } from "./bench.ts";

const { ok, argument, engine, refit } = STATUS;

/** Engines are described by index, and what is no engine is refused. */
export async function opens(
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
