import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryDir } from "@wattvox/bundle/testing";
import { readModel } from "@wattvox/onnx";
import test from "ava";
import { cli } from "../testing.ts";

const ROOT = new URL("../../../../", import.meta.url);

// What mine/export.py of the page writes, with PyTorch 1.13.
const MODEL = fileURLToPath(new URL("cloud-trainer/fixtures/guide.onnx", ROOT));

test("docs/TRAINING.md, step by step: a model of one's own is fine-tuned by what stands there", async (t) => {
	const page = await readFile(new URL("docs/TRAINING.md", ROOT), "utf8");
	const dir = await temporaryDir(t);
	const block = (what: RegExp) => {
		const found = what.exec(page)?.[1];
		t.truthy(found, String(what));
		return found as string;
	};
	const file = (name: string, kind: string) =>
		writeFile(
			join(dir, name),
			block(
				new RegExp(`\`mine/${name}\`:\\n\\n\`{3}${kind}\\n(.*?)\`{3}`, "s"),
			),
		);
	const run = async (command: RegExp) => {
		const line = block(command).replaceAll("mine/", `${dir}/`);
		const done = await cli([...line.split(" "), "--json"]);
		t.is(done.code, 0, done.out + done.err);
		return done.json;
	};
	await copyFile(MODEL, join(dir, "m.onnx"));
	await file("batches.mjs", "js");
	await file("recipe.json", "json");
	const listed = (await run(
		/npx wattvox (lora inject --model mine\/m\.onnx .*)/,
	)) as { modules: { module: string }[] };
	t.deepEqual(
		listed.modules.map((m) => m.module),
		["0", "2", "5"],
	);
	const tuned = (await run(/npx wattvox (fit --model mine\/.*)/)) as {
		best: { loss: number };
	};
	t.true(tuned.best.loss < 0.2, String(tuned.best.loss));
	await run(/`npx wattvox (lora merge --model mine\/m\.onnx .*?)`/);
	const [once, later] = await Promise.all(
		["run/model.onnx", "tuned.onnx"].map((f) => readModel(join(dir, f))),
	);
	t.deepEqual(once?.initializers, later?.initializers);
});
