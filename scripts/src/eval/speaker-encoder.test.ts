import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emptyGraph, encodeModel, GraphBuilder } from "@wattvox/onnx";
import test, { type ExecutionContext } from "ava";
import { openEncoder, SPECTRUM } from "./speaker-encoder.ts";

/** mel [1, F, 80] -> mean over time of the first 3 bands, doubled. */
function model(output: string): Uint8Array {
	const b = new GraphBuilder(emptyGraph("speaker"));
	const mel = b.input("mel", "float32", [1, "F", 80]);
	const picked = b.weight("w", {
		dtype: "float32",
		dims: [80, 3],
		data: Float32Array.from({ length: 240 }, (_, i) =>
			i % 3 === Math.floor(i / 3) ? 2 : 0,
		),
	});
	b.output(b.matmul(b.mean(mel, [1]), picked), output);
	return encodeModel(b.graph);
}

async function save(t: ExecutionContext, bytes: Uint8Array): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-encoder-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const file = join(dir, "speaker.onnx");
	await writeFile(file, bytes);
	return file;
}

const ramp = Float32Array.from({ length: 5 * 80 }, (_, i) => i % 80);

test("a model file is fed [1, F, 80] and keeps the caller's features", async (t) => {
	const encoder = await openEncoder(await save(t, model("embedding")));
	t.teardown(() => encoder.dispose());
	const mel = ramp.slice();
	t.deepEqual([...(await encoder.embed(mel))], [0, 2, 4]);
	t.deepEqual(mel, ramp);
});

test("a model without an embedding is refused", async (t) => {
	const encoder = await openEncoder(await save(t, model("other")));
	t.teardown(() => encoder.dispose());
	await t.throwsAsync(encoder.embed(ramp), { code: "E_MODEL" });
});

test("the yardstick hears colour, not loudness", async (t) => {
	const e = await openEncoder(SPECTRUM);
	const flat = await e.embed(ramp.map(() => 0));
	const tilted = await e.embed(ramp.map((x) => x / 40));
	const louder = await e.embed(ramp.map((x) => x / 40 + 1));
	t.true(flat.every((x) => Math.abs(x) < 1e-5));
	t.true(Math.abs(tilted[0] ?? 0) > 0.1);
	tilted.forEach((x, i) => {
		t.true(Math.abs(x - (louder[i] ?? 0)) < 1e-4);
	});
});
