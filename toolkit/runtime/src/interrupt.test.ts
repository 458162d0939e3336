import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";

const here = (file: string) => JSON.stringify(new URL(file, import.meta.url));

/** Says so when ONNX Runtime has begun something that takes long, and at the first Ctrl-C. */
const BUSY = `
(async () => {
	const { catchInterrupts } = await import(${JSON.stringify(import.meta.resolve("@wattvox/core"))});
	const { createEngine } = await import(${here("./onnx-engine.js")});
	const { heavy } = await import(${here("./tiny-model.js")});
	const say = (what) => process.stdout.write(what);
	catchInterrupts(() => say("stopping"));
	process.on("SIGINT", () => undefined); // others may listen too
	const engine = await createEngine(heavy(2000));
	const x = (n) => ({ dtype: "float32", dims: [n, n], data: new Float32Array(n * n) });
	await engine.run({ x: x(1) });
	void engine.run({ x: x(600) });
	setTimeout(() => say("busy"), 100);
})();
`;

test("a second Ctrl-C ends the process as Ctrl-C does, native call or not", async (t) => {
	const child = spawn(process.execPath, ["--eval", BUSY], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	t.teardown(() => child.kill("SIGKILL"));
	let errors = "";
	child.stderr.on("data", (text) => {
		errors += text;
	});
	child.stdout.on("data", () => child.kill("SIGINT"));
	const [code, signal] = await once(child, "close");
	t.deepEqual(
		{ code, signal, errors },
		{ code: null, signal: "SIGINT", errors: "" },
	);
});
