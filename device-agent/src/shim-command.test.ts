import { execFile } from "node:child_process";
import {
	chmod,
	mkdtemp,
	readdir,
	readFile,
	rm,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LEASH } from "@wattvox/runtime/tensorrt";
import { lacks, standIn } from "@wattvox/runtime/testing";
import test, { type ExecutionContext } from "ava";

const BIN = fileURLToPath(new URL("../bin/wattvox-agent.js", import.meta.url));
const compiled = lacks("gcc", ...LEASH) ? test.skip : test;

/** `wattvox-agent shim ...` where `c++` is the given shell script. */
async function house(t: ExecutionContext, compiler: string) {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-shim-command-"));
	t.teardown(() => rm(dir, { recursive: true, force: true }));
	await writeFile(join(dir, "c++"), `#!/bin/sh\n${compiler}\n`);
	await chmod(join(dir, "c++"), 0o755);
	const env = { ...process.env, PATH: `${dir}:${process.env.PATH}` };
	const shim = (...args: string[]) =>
		new Promise<{ code: number; out: string; err: string }>((resolve) => {
			const all = [BIN, "shim", ...args];
			execFile(process.execPath, all, { env }, (error, out, err) =>
				resolve({ code: error ? Number(error.code) : 0, out, err }),
			);
		});
	return { dir, shim };
}

compiled(
	"a device compiles its shim with the agent alone, and hears what it runs on",
	async (t) => {
		const made = await standIn();
		const { dir, shim } = await house(
			t,
			`echo "$@" >"$0.args"
while [ "$1" != -o ]; do shift; done
cp '${made}' "$2"`,
		);
		const out = join(dir, "tensorrt", "libwattvox_trt.so");
		const {
			code,
			out: text,
			err,
		} = await shim(
			...["--out", out, "--include", "/my/headers", "--lib", "/my/lib"],
		);
		t.is(code, 0, err);
		t.regex(text, /TensorRT {2}10\.3\.0\.26, .* headers of 10\.3\.0\n/);
		t.regex(text, /device +stand-in .* \(8\.7\), CUDA 12\.6/);
		t.deepEqual(await readdir(join(dir, "tensorrt")), ["libwattvox_trt.so"]);
		const args = await readFile(join(dir, "c++.args"), "utf8");
		t.regex(
			args,
			/-isystem \/my\/headers -isystem \/usr\/local\/cuda\/include/,
		);
		t.regex(
			args,
			/-L\/my\/lib -Wl,-rpath,\/my\/lib .*-lnvinfer -lnvonnxparser/,
		);
		t.regex(args, /native\/engine\.cpp/);
	},
);

test("where the shim does not compile, the device hears why and has nothing", async (t) => {
	const { dir, shim } = await house(
		t,
		'echo "x.cpp:1:10: fatal error: NvInfer.h: No such file" >&2; exit 1',
	);
	const { code, err } = await shim("--out", join(dir, "shim.so"));
	t.is(code, 6);
	t.regex(err, /E_TENSORRT.*fatal error: NvInfer\.h/);
	t.deepEqual(await readdir(dir), ["c++"]);
	t.is((await shim()).code, 2);
});
