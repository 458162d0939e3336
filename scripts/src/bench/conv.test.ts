import { execFile } from "node:child_process";
import { promisify } from "node:util";
import test from "ava";
import { type ConvBench, parseShape, report } from "./conv.ts";

const program = new URL("../bench.js", import.meta.url).pathname;

test("every form of a convolution's gradients gives the same numbers", async (t) => {
	const { stdout } = await promisify(execFile)(process.execPath, [
		...[program, "conv", "--json", "--threads", "1", "--runs", "1"],
		...["--shapes", "2x3x40x5x2,1x8x9x3x1"],
	]);
	const bench = JSON.parse(stdout) as ConvBench;
	t.is(bench.results.length, 8);
	for (const { what, forms } of bench.results)
		for (const { form, gap, ms, gflops } of forms) {
			t.true(gap < 1e-5, `${what}, ${form}: ${gap}`);
			t.true(ms > 0 && gflops > 0);
		}
	const text = report(bench);
	t.regex(text, /2 x 3 x 40, kernel 5 by 2/);
	t.notRegex(text, /\bNO\b/);
	const wrong = structuredClone(bench);
	for (const f of wrong.results[0]?.forms ?? []) f.gap = 0.1;
	t.regex(report(wrong), /\bNO\b/);
});

test("shapes are five whole numbers, the kernel odd", (t) => {
	t.deepEqual(parseShape("4x64x256x11x5"), {
		batch: 4,
		channels: 64,
		length: 256,
		kernel: 11,
		dilation: 5,
	});
	for (const text of ["", "4x64x256x11", "4x64x256x4x1", "4x0x2x3x1", "axb"])
		t.throws(() => parseShape(text), { code: "E_USAGE" });
});
