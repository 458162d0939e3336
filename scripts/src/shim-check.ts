import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { compileShim } from "@wattvox/runtime/tensorrt";

const HELP = `npm run shim:check -- --headers DIR [--headers DIR ...] [--cxx g++] [--flag=-DX ...]

Compiles the TensorRT shim against TensorRT's public headers, without any of its libraries: NvInfer.h,
NvOnnxParser.h and cuda_runtime_api.h, each in one of the folders or where the compiler looks. Warnings
are errors. Headers are in https://github.com/NVIDIA/TensorRT (include/, by tag; before 10.16 the parser's
is in https://github.com/onnx/onnx-tensorrt) and in CUDA's packages.

  npm run shim:check -- --headers TensorRT/include --headers /usr/local/cuda/include`;

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			headers: { type: "string", multiple: true, default: [] },
			flag: { type: "string", multiple: true, default: [] },
			cxx: { type: "string", default: "c++" },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) {
		console.log(HELP);
		return;
	}
	for (const dir of values.headers)
		if (!existsSync(dir))
			throw new WattvoxError("E_FILE_MISSING", `no folder ${dir}`);
	const dir = await mkdtemp(join(tmpdir(), "wattvox-shim-"));
	try {
		await compileShim({
			out: join(dir, "shim.so"),
			cxx: values.cxx,
			include: values.headers,
			libraries: [],
			flags: ["-Werror", "-O0", ...values.flag],
		});
		console.log(
			`the shim compiles against ${values.headers.join(", ") || "the usual folders"}`,
		);
	} finally {
		await rm(dir, { recursive: true });
	}
}

try {
	await main();
} catch (thrown) {
	const error = asWattvoxError(thrown);
	console.error(`${error.message}\n${error.help}`);
	process.exitCode = error.exit;
}
