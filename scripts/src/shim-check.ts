import { parseArgs } from "node:util";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import {
	checkShim,
	folderMustExist,
	usualFolders,
} from "./shim-check/check.ts";

const HELP = `npm run shim:check -- [--headers DIR ...] [--cxx g++] [--flag=-DX ...]

Compiles the TensorRT shim against TensorRT's public headers, without any of its libraries: NvInfer.h,
NvOnnxParser.h and cuda_runtime_api.h, each in one of the folders. Warnings are errors. Without --headers
the folders are those of WATTVOX_TENSORRT_HEADERS, of JetPack's and Debian's packages and of CUDA; where the
headers are in none of them it says so and ends well. The headers are in
https://github.com/NVIDIA/TensorRT (include/, by tag; before 10.16 the parser's is in
https://github.com/onnx/onnx-tensorrt) and in CUDA's packages.

  npm run shim:check
  npm run shim:check -- --headers TensorRT/include --headers /usr/local/cuda/include`;

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			headers: { type: "string", multiple: true },
			flag: { type: "string", multiple: true, default: [] },
			cxx: { type: "string", default: "c++" },
			help: { type: "boolean", default: false },
		},
	});
	if (values.help) {
		console.log(HELP);
		return;
	}
	const { headers, cxx, flag: flags } = values;
	for (const dir of headers ?? []) folderMustExist(dir);
	const { compiled, line } = await checkShim(headers ?? usualFolders(), {
		...{ cxx, flags },
	});
	// Who names folders says that the headers are there.
	if (!compiled && headers) throw new WattvoxError("E_FILE_MISSING", line);
	console.log(line);
}

try {
	await main();
} catch (thrown) {
	const error = asWattvoxError(thrown);
	console.error(`${error.message}\n${error.help}`);
	process.exitCode = error.exit;
}
