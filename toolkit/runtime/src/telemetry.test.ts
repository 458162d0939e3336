import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import { arithmetic } from "./tiny-model.ts";

test("an engine leaves no identifier and no event in the user's folders", async (t) => {
	const home = await mkdtemp(join(tmpdir(), "wattvox-home-"));
	t.teardown(() => rm(home, { recursive: true }));
	const model = join(home, "model.onnx");
	await writeFile(model, arithmetic());
	const runtime = new URL("./index.js", import.meta.url).href;
	const program = join(home, "program.mjs");
	await writeFile(
		program,
		`import { createEngine } from ${JSON.stringify(runtime)};
		const engine = await createEngine(${JSON.stringify(model)});
		await engine.dispose();`,
	);
	const { ORT_DISABLE_TELEMETRY: _, ...env } = process.env;
	await promisify(execFile)(process.execPath, [program], {
		env: {
			...env,
			HOME: home,
			XDG_CACHE_HOME: join(home, ".cache"),
			TMPDIR: home,
			// as on a device: ONNX Runtime is silent of its own accord under CI
			CI: "",
		},
	});
	t.deepEqual(await readdir(home), ["model.onnx", "program.mjs"]);
});
