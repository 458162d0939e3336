// What every library behind native/wattvox_trt.h must do, below everything that TypeScript adds.
import type { Asserts } from "../engine-contract.ts";
import { Bench } from "./abi-contract/bench.ts";
import { builds } from "./abi-contract/builds.ts";
import { opens } from "./abi-contract/engines.ts";
import { refusesNothing } from "./abi-contract/handles.ts";
import { refits } from "./abi-contract/refits.ts";
import { outlives, runs } from "./abi-contract/runs.ts";
import { WHY } from "./ffi.ts";
import { STATUS } from "./status.ts";

const { ok, pending } = STATUS;

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
