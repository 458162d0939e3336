import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const run = promisify(execFile);
const home = fileURLToPath(new URL("..", import.meta.url));
const bin = fileURLToPath(
	new URL("../../../node_modules/.bin", import.meta.url),
);

const protoc = await run("protoc", ["--version"]).then(
	() => true,
	() => false,
);

// The types of ONNX's protobuf are generated: what lies in the tree is what `npm run generate` makes.
(protoc ? test : test.skip)(
	"the generated types are those of onnx.proto (needs protoc)",
	async (t) => {
		const { scripts } = JSON.parse(
			await readFile(join(home, "package.json"), "utf8"),
		);
		const [program, ...args] = (scripts.generate as string).split(" ");
		t.is(program, "protoc");
		const out = await mkdtemp(join(tmpdir(), "wattvox-generate-"));
		t.teardown(() => rm(out, { recursive: true }));
		await run(
			"protoc",
			args.map((a) => a.replace("--es_out=src/gen", `--es_out=${out}`)),
			{
				cwd: home,
				env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
			},
		);
		const [fresh, kept] = await Promise.all(
			[join(out, "onnx_pb.ts"), join(home, "src/gen/onnx_pb.ts")].map((f) =>
				readFile(f, "utf8"),
			),
		);
		t.true(fresh === kept, "run `npm run generate -w toolkit/onnx`");
	},
);
