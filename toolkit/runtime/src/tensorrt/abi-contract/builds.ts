import type { Asserts } from "../../engine-contract.ts";
import { arithmetic } from "../../tiny-model.ts";
import { nativeTensor } from "../ffi.ts";
import { STATUS } from "../status.ts";
import type { Bench } from "./bench.ts";

const { ok, argument, model: modelStatus } = STATUS;

/** The order of a build's calls, and what each refuses; the plan of `arithmetic`, N from 1 to 4. */
export async function builds(
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
