import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { WattvoxError } from "@wattvox/core";
import { LEASH, type TensorRtFacts } from "@wattvox/runtime/tensorrt";
import { lacks } from "@wattvox/runtime/testing";
import test, { type ExecutionContext } from "ava";
import { findTrtexec, trtexecArguments, trtexecBuilder } from "./trtexec.ts";

const held = lacks(...LEASH) ? test.skip : test;

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

/** Options that each version's parser knows, of those that a build may want; any other is an error to it. */
const KNOWN: Record<string, string> = {
	"8.5.2":
		"onnx saveEngine timingCacheFile memPoolSize buildOnly refit noTF32 fp16 int8 best minShapes",
	"8.6.1":
		"onnx saveEngine timingCacheFile memPoolSize buildOnly skipInference refit noTF32 fp16 int8 best builderOptimizationLevel",
	"10.3.0":
		"onnx saveEngine timingCacheFile memPoolSize skipInference refit noTF32 fp16 bf16 int8 best stronglyTyped builderOptimizationLevel",
	"10.16.2":
		"onnx saveEngine timingCacheFile memPoolSize skipInference refit noTF32 fp16 bf16 int8 best stronglyTyped builderOptimizationLevel",
	"11.1.0":
		"onnx saveEngine timingCacheFile memPoolSize skipInference refit noTF32 builderOptimizationLevel",
};

test("no version is given an option that it does not know", (t) => {
	let refused = 0;
	for (const [version, known] of Object.entries(KNOWN))
		for (const precision of ["fp32", "fp16", "bf16"] as const)
			for (const level of [undefined, 3])
				for (const refit of [false, true])
					try {
						const request = { precision, level, refit };
						const args = trtexecArguments(files, version, request);
						for (const arg of args) {
							const name = /^--(\w+)(=.+)?$/.exec(arg)?.[1] ?? arg;
							t.true(known.split(" ").includes(name), `${version} ${arg}`);
						}
						// What was asked for is in it, or it was refused.
						const asked = precision === "fp32" ? "noTF32" : precision;
						t.true(args.includes(`--${asked}`));
						t.is(args.includes("--refit"), refit);
						t.is(args.includes("--builderOptimizationLevel=3"), level === 3);
					} catch (thrown) {
						t.is((thrown as WattvoxError).code, "E_OP_UNSUPPORTED");
						refused++;
					}
	t.is(refused, 8 + 4 + 8, "of 8.5, 8.6 and 11.1");
});

test("arguments by version: what 8.5 calls otherwise", (t) => {
	t.deepEqual(trtexecArguments(files, "8.5.2.2", { refit: true }), [
		"--onnx=m.onnx",
		"--saveEngine=e.plan",
		"--timingCacheFile=t.bin",
		"--memPoolSize=workspace:512",
		"--buildOnly",
		"--noTF32",
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

/** As version 10.3 prints them. */
const line = (level: string, text: string) =>
	`echo "[11/22/2026-23:00:00] [${level}] ${text}"`;
const begins = '"&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec"';

held(
	"an engine comes back with the timing cache, grown, and with progress; nothing is left behind",
	async (t) => {
		const { path } = await program(
			t,
			`echo ${begins}
${line("I", "Start parsing network model.")}
${line("I", "Finished parsing network model. Parse time: 0.1")}
cat "$onnx" > "$engine"; echo " built" >> "$engine"; printf more >> "$timing"
${line("I", "Engine built in 12.5 sec.")}
${line("I", "Skipped inference phase since --skipInference is added.")}`,
		);
		const phases: string[] = [];
		const built = await trtexecBuilder(path, facts).buildEngine(model, {
			timingCache: Buffer.from("known, "),
			onProgress: ({ phase }) => phases.push(phase),
		});
		t.is(Buffer.from(built.engine).toString(), "a model built\n");
		t.is(Buffer.from(built.timingCache).toString(), "known, more");
		t.deepEqual(phases, ["trtexec", "parse", "build", "done"]);
		t.true(built.seconds > 0);
		t.deepEqual(await leftovers(path), []);
	},
);

for (const [what, body, code, message] of [
	[
		"an error",
		`echo ${begins}; ${line("E", "Error[10]: no kernel")} >&2; echo "&&&& FAILED"; exit 1`,
		"E_ENGINE_BUILD",
		/\(1\): .*\[E\] Error\[10\]: no kernel/,
	],
	["no engine", "exit 0", "E_ENGINE_BUILD", /left no engine/],
	["an unknown end", "echo so it is; exit 3", "E_ENGINE_BUILD", /so it is/],
	["a kill", "kill -9 $$", "E_MEMORY", /SIGKILL.*limit is 2048 MiB/],
	[
		"want of memory, in CUDA's words",
		`${line("E", "Error[1]: [defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)")}; exit 1`,
		"E_MEMORY",
		/out of memory/,
	],
	[
		"want of memory, in TensorRT's",
		`${line("E", "Error[2]: [virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (no further information)")}; exit 1`,
		"E_MEMORY",
		/OutOfMemory/,
	],
	[
		"want of memory, in C++'s",
		"echo bad_alloc >&2; kill -ABRT $$",
		"E_MEMORY",
		/SIGABRT/,
	],
] as const)
	held(`${what} is ${code}`, async (t) => {
		const { path } = await program(t, body);
		await t.throwsAsync(trtexecBuilder(path, facts).buildEngine(model), {
			code,
			message,
		});
	});

held(
	"it has a limit on its memory, and the kernel takes it first",
	async (t) => {
		const { path } = await program(
			t,
			`i=0
while [ "$(cat /proc/$$/oom_score_adj)" != 1000 ] && [ $i -lt 3000 ]; do i=$((i + 1)); done
dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null || { echo "std::bad_alloc"; exit 1; }
echo "room for all; $(cat /proc/$$/oom_score_adj)"; exit 1`,
		);
		const { buildEngine } = trtexecBuilder(path, facts);
		await t.throwsAsync(buildEngine(model, { memoryBytes: 32 * 2 ** 20 }), {
			code: "E_MEMORY",
			message: /limit is 32 MiB/,
		});
		await t.throwsAsync(buildEngine(model), {
			code: "E_ENGINE_BUILD",
			message: /room for all; 1000/,
		});
	},
);

held("no such program is an error of the build", async (t) => {
	await t.throwsAsync(
		trtexecBuilder("/nonexistent/trtexec", facts).buildEngine(model),
		{ code: "E_ENGINE_BUILD", message: /nonexistent.*No such file/ },
	);
});

held(
	"a build that never ends is killed at its deadline, and when it is aborted",
	async (t) => {
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
	},
);

held("it ends with whoever started it, however that ended", async (t) => {
	const { path, dir } = await program(
		t,
		`echo $$ > "$0.part"; mv "$0.part" "$0.pid"; exec sleep 1000`,
	);
	const module = new URL("./trtexec.js", import.meta.url).href;
	const parent = spawn(
		process.execPath,
		[
			"--input-type=module",
			"--eval",
			`import { trtexecBuilder } from "${module}";
await trtexecBuilder("${path}", { tensorrt: "10.3.0" }).buildEngine(Buffer.from("x"));`,
		],
		// what it leaves behind goes with the test
		{
			stdio: ["ignore", "inherit", "inherit"],
			env: { ...process.env, TMPDIR: dir },
		},
	);
	const ended = once(parent, "close");
	while (!existsSync(`${path}.pid`)) await sleep(10);
	const pid = Number(await readFile(`${path}.pid`, "utf8"));
	parent.kill("SIGKILL");
	await ended;
	while (running(pid)) await sleep(10);
	t.pass();
});

/** Whether there is such a process; one that has ended and that nobody asked after yet is none. */
function running(pid: number): boolean {
	try {
		return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
	} catch {
		return false;
	}
}

/** Folders that builds used and that are still there. */
async function leftovers(program: string) {
	const dirs = (await readFile(`${program}.dirs`, "utf8")).trim().split("\n");
	return dirs.filter((dir) => existsSync(dir));
}
