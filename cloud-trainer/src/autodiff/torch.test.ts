import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeSafetensors, readModel, type Tensor } from "@wattvox/onnx";
import test from "ava";
import { gradientsOf } from "./gradients-of.ts";

// Models as torch.onnx.export writes them, and the gradients that torch.autograd computes for them in
// double precision: scripts/torch/references.py. With WATTVOX_TORCH=DIR the references that it wrote
// to DIR are compared in place of those that are kept here.
const DIR =
	process.env.WATTVOX_TORCH ??
	fileURLToPath(new URL("../../fixtures/torch", import.meta.url));
const TOLERANCE = 1e-4;

const files = await readdir(DIR);
const norm = (t: Tensor) => Math.hypot(...(t.data as Float32Array));
const tensors = async (path: string) => decodeSafetensors(await readFile(path));

test("there are references", (t) => {
	t.true(files.filter((f) => f.endsWith(".onnx")).length >= 12);
});

for (const file of files.filter((f) => f.endsWith(".onnx")))
	test.serial(`${file}: the gradients are PyTorch's`, async (t) => {
		const stem = join(DIR, file.slice(0, -".onnx".length));
		const feeds = await tensors(`${stem}.feeds.safetensors`);
		const { tensors: wanted, metadata } = await tensors(
			`${stem}.grads.safetensors`,
		);
		t.true(wanted.size > 0);
		const { value, gradients } = await gradientsOf(
			await readModel(`${stem}.onnx`),
			{
				of: metadata.of as string,
				wrt: [...wanted.keys()],
				feeds: Object.fromEntries(feeds.tensors),
			},
		);
		const sum = Number(metadata.value);
		t.true(
			Math.abs(value - sum) <= 1e-5 * Math.max(1, Math.abs(sum)),
			`the output's sum is ${value}, PyTorch's ${sum}`,
		);
		// Where it is zero but for rounding (a bias before a normalisation) the others give the scale.
		const most = Math.max(...[...wanted.values()].map(norm));
		let worst = { error: 0, name: "" };
		for (const [name, w] of wanted) {
			const g = gradients.get(name) as Tensor;
			t.deepEqual(g.dims, w.dims, name);
			const apart = Float32Array.from(
				w.data as Float32Array,
				(e, i) => e - Number(g.data[i]),
			);
			const none = norm(w) <= 1e-9 * most;
			const scale = none ? 0.1 * most : norm(w);
			const error = norm({ ...w, data: apart }) / Math.max(scale, 1e-30);
			if (!(error <= worst.error)) worst = { error, name };
		}
		t.log(
			`${wanted.size} gradients, worst ${worst.error.toExponential(1)} (${worst.name}); PyTorch's own rounding ${metadata.noise}`,
		);
		t.true(worst.error <= TOLERANCE, `${worst.name}: ${worst.error}`);
	});
