import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { newKey, writeBundle, writeKeys } from "@wattvox/bundle";
import { sampleFiles, sampleMeta, temporaryDir } from "@wattvox/bundle/testing";
import test, { type ExecutionContext } from "ava";
import { cli } from "../testing.ts";

async function sample(t: ExecutionContext) {
	const dir = await temporaryDir(t);
	const { key, publicPath } = await writeKeys(dir, "builder");
	const bundle = join(dir, "voice");
	const { digest } = await writeBundle(
		bundle,
		sampleFiles(),
		sampleMeta("ada"),
		key,
	);
	return { dir, bundle, digest, publicPath };
}

test("inspect says what a bundle is and who signed it", async (t) => {
	const { bundle, digest, publicPath } = await sample(t);
	const people = await cli(["inspect", bundle, "--trust", publicPath]);
	t.is(people.code, 0);
	t.regex(people.out, /voice +ada \(en, 16000 Hz\)/);
	t.regex(people.out, /signed +by a key that you trust/);
	// nobody measured it: unknown, not 0
	t.regex(people.out, /training energy +unknown/);
	t.regex(people.out, /decoder\.onnx +decoder +300000/);
	const program = await cli(["inspect", bundle, "--json"]);
	t.is(program.code, 0);
	t.like(program.json, { digest, signature: "unknown", problems: [] });
});

test("a changed file exits 4, names the file, and still shows the rest", async (t) => {
	const { bundle, publicPath } = await sample(t);
	await writeFile(join(bundle, "voice.json"), "{}");
	const { code, out, err } = await cli(["inspect", bundle]);
	t.is(code, 4);
	t.regex(err, /^error E_TAMPERED: .*voice\.json/);
	t.regex(out, /voice +ada/);
	const program = await cli([
		...["inspect", bundle, "--json", "--trust", publicPath],
	]);
	t.is(program.code, 4);
	t.like(program.json, { signature: "trusted" });
	t.like(JSON.parse(program.err), { error: { code: "E_TAMPERED" } });
});

test("a changed manifest exits 4 when its key is known", async (t) => {
	const { bundle, publicPath } = await sample(t);
	const path = join(bundle, "manifest.json");
	const text = await readFile(path, "utf8");
	await writeFile(path, text.replace('"ada"', '"eve"'));
	const { code, err } = await cli(["inspect", bundle, "--trust", publicPath]);
	t.is(code, 4);
	t.regex(err, /E_SIGNATURE/);
});

test("what is no bundle, and a private key as trust, end with their own errors", async (t) => {
	const { dir, bundle } = await sample(t);
	t.is((await cli(["inspect", dir])).code, 3);
	const { code, err } = await cli([
		...["inspect", bundle, "--trust", join(dir, "builder.key")],
	]);
	t.is(code, 4);
	t.regex(err, /E_KEY: .*private key/);
	t.truthy(newKey().id);
});
