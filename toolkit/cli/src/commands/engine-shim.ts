import { facts } from "@wattvox/core";
import { command } from "../command.ts";

export const engineShim = command({
	usage: "engine shim",
	about: "Compile the shim against this device's own TensorRT",
	examples: [
		[
			"engine shim --out /var/lib/wattvox/libwattvox_trt.so",
			"on the device, with JetPack's TensorRT and a C++ compiler",
		],
	],
	positionals: {},
	options: {
		out: {
			type: "string",
			demandOption: true,
			describe: "The library; `--shim` of the other commands",
		},
		include: {
			type: "array",
			string: true,
			default: [],
			describe: "Folders with TensorRT's and CUDA's headers, before the usual",
		},
		lib: {
			type: "array",
			string: true,
			default: [],
			describe: "Folders with their libraries, before the usual",
		},
	},
	async run({ out, include, lib }, io) {
		const { compileShim, workshop } = await import("@wattvox/runtime/tensorrt");
		const task = io.progress.task("compile");
		try {
			await compileShim({ out, include, lib, signal: io.signal });
			const here = await workshop(out).facts({ signal: io.signal });
			task.finish();
			io.result(
				{ out, facts: here },
				facts([
					["wrote", out],
					["TensorRT", here.tensorrt],
					["device", `${here.device} (${here.computeCapability})`],
				]),
			);
		} catch (thrown) {
			task.fail();
			throw thrown;
		}
	},
});
