import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { temporaryDir } from "@wattvox/bundle/testing";
import {
	emptyGraph,
	floats,
	GraphBuilder,
	int64s,
	readModel,
	writeModel,
} from "@wattvox/onnx";
import { createEngine } from "@wattvox/runtime";
import test from "ava";
import { cli } from "../testing.ts";

test("a model takes more speakers, and says of the old ones what it said", async (t) => {
	const dir = await temporaryDir(t);
	const [model, out] = [join(dir, "m.onnx"), join(dir, "more.onnx")];
	const b = new GraphBuilder(emptyGraph("g", 18));
	const id = b.input("speaker", "int64", ["B"]);
	const table = b.weight("emb_g.weight", floats([1, 2, 3, 6], [2, 2]));
	b.output(b.op("Gather", [table, id]), "g");
	await writeModel(model, b.graph);
	const grow = (...more: string[]) =>
		cli(["grow", "--model", model, "--out", out, ...more]);

	const done = await grow("--table", "emb_g.weight", "--rows", "4", "--json");
	t.is(done.code, 0, done.err);
	t.like(done.json, { before: 2, rows: 4 });
	t.deepEqual(
		(await readModel(out)).initializers.get("emb_g.weight")?.dims,
		[4, 2],
	);
	const engine = await createEngine(await readFile(out));
	t.teardown(() => engine.dispose());
	const { g } = await engine.run({ speaker: int64s([0, 1, 3]) } as never);
	const said = Array.from(g?.data as Float32Array);
	t.deepEqual(said.slice(0, 4), [1, 2, 3, 6]);
	// The mean is (2, 4), a tenth of the spread (0.1, 0.2).
	t.true(
		Math.abs((said[4] ?? 0) - 2) < 0.5 && Math.abs((said[5] ?? 0) - 4) < 1,
	);

	const none = await grow("--table", "emb", "--rows", "4");
	t.is(none.code, 3);
	t.regex(none.err, /no table emb; it has emb_g\.weight/);
	const shrunk = await grow("--table", "emb_g.weight", "--rows", "1");
	t.is(shrunk.code, 2);
});
