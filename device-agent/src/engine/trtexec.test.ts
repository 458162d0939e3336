import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TensorRtFacts } from "@wattvox/runtime/tensorrt";
import test, { type ExecutionContext } from "ava";
import { findTrtexec, trtexecArguments, trtexecBuilder } from "./trtexec.ts";

const facts = { tensorrt: "10.3.0.26" } as TensorRtFacts;
const files = { onnx: "m.onnx", engine: "e.plan", timing: "t.bin" };

/** A program in trtexec's place: what it is told to do, with its options as variables. */
async function program(t: ExecutionContext, body: string) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-trtexec-test-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	const path = join(dir, "trtexec");
	await writeFile(
		path,
		`#!/bin/sh
for a in "$@"; do case "$a" in
	--onnx=*) onnx="\${a#*=}";;
	--saveEngine=*) engine="\${a#*=}";;
	--timingCacheFile=*) timing="\${a#*=}";;
esac; done
dirname "$onnx" >> "$0.dirs"
${body}
`,
	);
	await chmod(path, 0o755);
	return { path, dir };
}
const model = Buffer.from("a model");

test("arguments by version: what 8.5 calls otherwise or does not have", (t) => {
	t.deepEqual(trtexecArguments(files, "8.5.2.2", { level: 3, refit: true }), [
		"--onnx=m.onnx",
		"--saveEngine=e.plan",
		"--timingCacheFile=t.bin",
		"--memPoolSize=workspace:512",
		"--buildOnly",
		"--refit",
	]);
	t.deepEqual(
		trtexecArguments(files, "10.3.0.26", {
			level: 3,
			precision: "fp16",
			workspaceBytes: 2 ** 28,
		}).slice(3),
		[
			"--memPoolSize=workspace:256",
			"--skipInference",
			"--fp16",
			"--builderOptimizationLevel=3",
		],
	);
});

test("it is found in PATH, and not where there is none", async (t) => {
	const { dir, path } = await program(t, "");
	t.is(findTrtexec({ PATH: `/nonexistent:${dir}` }), path);
});

test("an engine comes back with the timing cache, grown; nothing is left behind", async (t) => {
	const { path } = await program(
		t,
		'cat "$onnx" > "$engine"; echo " built" >> "$engine"; printf more >> "$timing"',
	);
	const phases: string[] = [];
	const built = await trtexecBuilder(path, facts).buildEngine(model, {
		timingCache: Buffer.from("known, "),
		onProgress: ({ phase }) => phases.push(phase),
	});
	t.is(Buffer.from(built.engine).toString(), "a model built\n");
	t.is(Buffer.from(built.timingCache).toString(), "known, more");
	t.deepEqual(phases, ["trtexec"]);
	t.true(built.seconds > 0);
	t.deepEqual(await leftovers(path), []);
});

for (const [what, body, code, message] of [
	[
		"an error",
		'echo "[I] x"; echo "[E] no kernel" >&2; exit 1',
		"E_ENGINE_BUILD",
		/\(1\): \[E\] no kernel/,
	],
	["no engine", "exit 0", "E_ENGINE_BUILD", /left no engine/],
	["a kill", "kill -9 $$", "E_MEMORY", /SIGKILL/],
	["memory", 'echo "Out of memory"; exit 1', "E_MEMORY", /1/],
] as const)
	test(`${what} is ${code}`, async (t) => {
		const { path } = await program(t, body);
		await t.throwsAsync(trtexecBuilder(path, facts).buildEngine(model), {
			code,
			message,
		});
	});

test("no such program is an error of the build", async (t) => {
	await t.throwsAsync(
		trtexecBuilder("/nonexistent/trtexec", facts).buildEngine(model),
		{ code: "E_ENGINE_BUILD", message: /ENOENT/ },
	);
});

test("a build that never ends is killed at its deadline, and when it is aborted", async (t) => {
	const { path } = await program(t, "exec sleep 1000");
	const { buildEngine } = trtexecBuilder(path, facts);
	await t.throwsAsync(buildEngine(model, { deadlineMs: 50 }), {
		code: "E_TIMEOUT",
	});
	const stop = new AbortController();
	const building = buildEngine(model, {
		signal: stop.signal,
		onProgress: () => setImmediate(() => stop.abort(new Error("enough"))),
	});
	await t.throwsAsync(building, { message: "enough" });
	t.deepEqual(await leftovers(path), []);
});

/** Folders that builds used and that are still there. */
async function leftovers(program: string) {
	const dirs = (await readFile(`${program}.dirs`, "utf8")).trim().split("\n");
	return dirs.filter((dir) => existsSync(dir));
}
