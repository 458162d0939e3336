import type { Asserts } from "../../engine-contract.ts";
import { type FunctionName, WHY } from "../ffi.ts";
import { STATUS } from "../status.ts";
import { type Bench, dims } from "./bench.ts";

const { argument } = STATUS;

/** NULL for a handle is the caller's mistake, never a crash; closing it is none. */
export async function refusesNothing(t: Asserts, b: Bench): Promise<void> {
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
