import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { lacks } from "@wattvox/runtime/testing";
import test from "ava";
import { checkShim, usualFolders } from "./check.ts";

const compiled = lacks("c++") ? test.skip : test;

compiled(
	"the shim compiles against NVIDIA's headers where they are, and where not that is said",
	async (t) => {
		const folders = usualFolders();
		const { compiled, line } = await checkShim(folders);
		t.log(line);
		t.regex(
			line,
			compiled ? /^the shim compiles against/ : /^skipped, .*no Nv/,
		);
	},
);

const MAKE_BELIEVE = fileURLToPath(
	new URL("../../../toolkit/runtime/stand-in/make-believe", import.meta.url),
);

compiled(
	"headers are found in several folders; a version that lacks something is an error",
	async (t) => {
		const dir = await mkdtemp(join(tmpdir(), "wattvox-shim-check-"));
		t.teardown(() => rm(dir, { recursive: true, force: true }));
		t.like(await checkShim([dir]), {
			compiled: false,
			line: `skipped, the shim was not compiled: no NvInfer.h, NvOnnxParser.h, cuda_runtime_api.h in ${dir}`,
		});
		const flags = ["MAJOR=10", "MINOR=3", "PATCH=0"].map(
			(version) => `-DNV_TENSORRT_${version}`,
		);
		const folders = usualFolders({ WATTVOX_TENSORRT_HEADERS: MAKE_BELIEVE });
		t.is(folders[0], MAKE_BELIEVE);
		t.true((await checkShim([dir, MAKE_BELIEVE], { flags })).compiled);
		await cp(MAKE_BELIEVE, dir, { recursive: true });
		await writeFile(join(dir, "NvOnnxParser.h"), "#include <NvInfer.h>\n");
		await t.throwsAsync(checkShim([dir, MAKE_BELIEVE], { flags }), {
			code: "E_TENSORRT",
			message: /nvonnxparser/,
		});
	},
);
