import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import {
	encodeSafetensors,
	floats,
	GraphBuilder,
	writeModel,
} from "@wattvox/onnx";
import test from "ava";
import { fitSpec } from "../fit-options.ts";
import { cli } from "../testing.ts";

const waves = (dims: number[], k: number) =>
	floats(
		Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) =>
			Math.sin(k * (i + 1)),
		),
		dims,
	);

test.serial(
	"fit trains, validates, books energy and writes an adapter and a model",
	async (t) => {
		const dir = await temporaryDir(t);
		const b = new GraphBuilder();
		const x = b.input("x", "float32", ["batch", 4]);
		b.output(b.matmul(x, b.weight("fc.weight", waves([4, 2], 0.3))), "y");
		await writeModel(join(dir, "m.onnx"), b.graph);
		for (const folder of ["data", "held"]) {
			await mkdir(join(dir, folder));
			for (const i of [1, 2]) {
				const input = waves([8, 4], i + folder.length);
				const y = Float32Array.from({ length: 16 }, (_, k) =>
					Number(input.data[4 * (k >> 1) + (k & 1)]),
				);
				const feeds = { x: input, wanted: floats(y, [8, 2]) };
				await writeFile(
					join(dir, folder, `${i}.safetensors`),
					encodeSafetensors(new Map(Object.entries(feeds))),
				);
			}
		}
		const recipe = join(dir, "fit.json");
		await writeFile(
			recipe,
			JSON.stringify({
				losses: [{ kind: "l2", output: "y", target: "wanted" }],
				schedule: { kind: "linear", peak: 0.001 },
				steps: 500,
			}),
		);
		const out = join(dir, "run");
		const line = (...more: string[]) =>
			cli([
				...["fit", "--model", join(dir, "m.onnx"), "--data", join(dir, "data")],
				...["--validation", join(dir, "held"), "--recipe", recipe],
				...["--out", out, "--steps", "60", "--lr", "0.05", "--rank", "2"],
				...["--validate-every", "20", "--threads", "1", ...more],
			]);
		const done = await line("--merge", "--json");
		t.is(done.code, 0, done.out + done.err);
		const result = done.json as {
			best: { step: number; loss: number };
			steps: number;
			model: string;
			parameters: number;
			energy: object;
		};
		t.is(result.steps, 60);
		t.is(result.parameters, 2 * (4 + 2));
		t.true(result.best.loss < 0.1, String(result.best.loss));
		t.true(existsSync(result.model));
		t.true(existsSync(join(out, "adapter", "adapter_config.json")));
		t.true((await readFile(join(out, "energy.jsonl"), "utf8")).includes("fit"));
		t.truthy(result.energy);
		const text = await line();
		t.is(text.code, 0, text.err);
		t.regex(text.out, /steps\s+60; best at \d+, held-out/);
		t.regex(text.out, /12 numbers in 1 places/);
		const other = await line("--alpha", "3");
		t.is(other.code, 2);
		t.regex(other.err, /other settings/);
	},
);

test("flags come before the recipe, and what they leave out stays", (t) => {
	const recipe = {
		steps: 9,
		groups: [{ match: "a" }],
		schedule: { kind: "constant" as const, peak: 1 },
	};
	const none = {} as Parameters<typeof fitSpec>[0];
	t.deepEqual(fitSpec(none, recipe), recipe);
	t.deepEqual(
		fitSpec(
			{
				...none,
				rank: 4,
				lr: 0.1,
				memory: "1MB",
				cache: "2kB",
				target: ["q"],
				"lora-plus": 16,
				"validate-every": 7,
			},
			recipe,
		),
		{
			steps: 9,
			rank: 4,
			memory: 1e6,
			cache: 2000,
			targets: ["q"],
			validateEvery: 7,
			groups: [{ match: "*.lora_B", rate: 16 }, { match: "a" }],
			schedule: { kind: "constant", warmup: 20, peak: 0.1 },
		},
	);
});
