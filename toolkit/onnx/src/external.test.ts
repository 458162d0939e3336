import {
	mkdir,
	mkdtemp,
	readdir,
	readFile,
	rm,
	symlink,
	truncate,
	writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import test, { type ExecutionContext } from "ava";
import * as ort from "onnxruntime-node";
import { protoOf } from "./codec.ts";
import * as pb from "./gen/onnx_pb.ts";
import {
	emptyGraph,
	floats,
	type Graph,
	GraphBuilder,
	int64s,
	readModel,
	writeModel,
} from "./index.ts";

async function folder(t: ExecutionContext): Promise<string> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-onnx-"));
	t.teardown(() => rm(dir, { recursive: true }));
	return dir;
}

/** y = (x W) V + c, of weights with 16, 8 and 1 elements. */
function model(): Graph {
	const b = new GraphBuilder();
	const x = b.input("x", "float32", ["B", 4]);
	const w = b.weight(
		"w",
		floats(
			Array.from({ length: 16 }, (_, i) => i / 8),
			[4, 4],
		),
	);
	const v = b.weight(
		"v",
		floats(
			Array.from({ length: 8 }, (_, i) => 1 - i / 4),
			[4, 2],
		),
	);
	b.output(
		b.add(b.matmul(b.matmul(x, w), v), b.weight("c", floats([0.5]))),
		"y",
	);
	return b.graph;
}

async function run(path: string): Promise<number[]> {
	const session = await ort.InferenceSession.create(path);
	const out = await session.run({
		x: new ort.Tensor("float32", Float32Array.of(1, 2, 3, 4), [1, 4]),
	});
	await session.release();
	return Array.from(out.y?.data ?? [], Number);
}

test("a small model is one file", async (t) => {
	const dir = await folder(t);
	const path = join(dir, "m.onnx");
	t.deepEqual(await writeModel(path, model()), [path]);
	t.deepEqual(await readdir(dir), ["m.onnx"]);
	t.deepEqual(await readModel(path), model());
});

test("large weights go to a file beside the model; we and ONNX Runtime read the same", async (t) => {
	const dir = await folder(t);
	const plain = join(dir, "plain.onnx");
	const split = join(dir, "split.onnx");
	await writeModel(plain, model());
	t.deepEqual(await writeModel(split, model(), { externalFrom: 32 }), [
		`${split}.data`,
		split,
	]);
	const back = await readModel(split);
	// The order of initialisers is not part of a graph.
	t.deepEqual(
		new Map([...back.initializers].sort()),
		new Map([...model().initializers].sort()),
	);
	t.deepEqual({ ...back, initializers: 0 } as unknown, {
		...model(),
		initializers: 0,
	});
	t.is((await readFile(`${split}.data`)).length, 4096 + 32);
	t.deepEqual(await run(split), await run(plain));
});

/** A model whose one weight of two floats says to lie as `about` says. */
async function refer(
	path: string,
	about: Record<string, string>,
): Promise<void> {
	const proto = protoOf(emptyGraph("g"));
	proto.graph?.initializer.push(
		create(pb.TensorProtoSchema, {
			name: "w",
			dims: [2n],
			dataType: 1,
			dataLocation: pb.TensorProto_DataLocation.EXTERNAL,
			externalData: Object.entries(about).map(([key, value]) =>
				create(pb.StringStringEntryProtoSchema, { key, value }),
			),
		}),
	);
	await writeFile(path, toBinary(pb.ModelProtoSchema, proto));
}

const TWO = new Uint8Array(Float32Array.of(1, 2).buffer);

test("a location may be a folder below, without length or offset", async (t) => {
	const dir = await folder(t);
	await mkdir(join(dir, "sub"));
	await writeFile(join(dir, "sub", "w.bin"), TWO);
	const path = join(dir, "m.onnx");
	for (const location of ["sub/w.bin", "./sub/w.bin", "sub/../sub/w.bin"]) {
		await refer(path, { location });
		t.deepEqual((await readModel(path)).initializers.get("w"), floats([1, 2]));
	}
});

test("a location that leads out of the model's folder is refused, by name or by link", async (t) => {
	const dir = await folder(t);
	const own = join(dir, "own");
	await mkdir(own);
	await writeFile(join(dir, "secret"), TWO);
	await symlink(join(dir, "secret"), join(own, "link"));
	await symlink(dir, join(own, "up"));
	const path = join(own, "m.onnx");
	for (const location of [
		"../secret",
		join(dir, "secret"),
		"x/../../secret",
		"link",
		"up/secret",
		"..",
		".",
		"",
	]) {
		await refer(path, { location });
		await t.throwsAsync(
			readModel(path),
			{ code: "E_MODEL", message: /w/ },
			location,
		);
	}
});

test("data that is missing, short, misplaced or changed is refused", async (t) => {
	const dir = await folder(t);
	await writeFile(join(dir, "w.bin"), TWO);
	const path = join(dir, "m.onnx");
	const location = "w.bin";
	const wrong: [Record<string, string>, RegExp][] = [
		[{ location: "none.bin" }, /none\.bin/],
		[{ location, offset: "4" }, /at 4 of w\.bin/],
		[{ location, offset: "-8" }, /-8/],
		[{ location, offset: "much" }, /NaN/],
		[{ location, length: "4" }, /needs 8/],
		[{ location, length: "16" }, /needs 8/],
		[{ location, checksum: "00" }, /checksum/],
	];
	for (const [about, message] of wrong) {
		await refer(path, about);
		await t.throwsAsync(readModel(path), { code: "E_MODEL", message });
	}
});

test("a data file of another version than the model is noticed", async (t) => {
	const dir = await folder(t);
	const path = join(dir, "m.onnx");
	await writeModel(path, model(), { externalFrom: 32 });
	const data = await readFile(`${path}.data`);
	data[4100] = (data[4100] ?? 0) ^ 1;
	await writeFile(`${path}.data`, data);
	await t.throwsAsync(readModel(path), {
		code: "E_MODEL",
		message: /checksum/,
	});
	await truncate(`${path}.data`, 4100);
	await t.throwsAsync(readModel(path), { code: "E_MODEL" });
});

test("tensors inside attributes come in as well", async (t) => {
	const dir = await folder(t);
	await writeFile(join(dir, "w.bin"), TWO);
	const graph = emptyGraph("g");
	graph.nodes.push({
		op: "Constant",
		domain: "",
		name: "c",
		inputs: [],
		outputs: ["y"],
		attrs: { value: { kind: "tensor", value: int64s([0]) } },
	});
	const proto = protoOf(graph);
	const attr = proto.graph?.node[0]?.attribute[0];
	if (attr)
		attr.t = create(pb.TensorProtoSchema, {
			dims: [2n],
			dataType: 1,
			dataLocation: pb.TensorProto_DataLocation.EXTERNAL,
			externalData: [
				create(pb.StringStringEntryProtoSchema, {
					key: "location",
					value: "w.bin",
				}),
			],
		});
	const path = join(dir, "m.onnx");
	await writeFile(path, toBinary(pb.ModelProtoSchema, proto));
	t.deepEqual((await readModel(path)).nodes[0]?.attrs.value, {
		kind: "tensor",
		value: floats([1, 2]),
	});
});

test("no model, a broken one and an unwritable place have codes of their own", async (t) => {
	const dir = await folder(t);
	await t.throwsAsync(readModel(join(dir, "none.onnx")), {
		code: "E_FILE_MISSING",
		message: /none\.onnx/,
	});
	await writeFile(join(dir, "m.onnx"), "no model");
	await t.throwsAsync(readModel(join(dir, "m.onnx")), { code: "E_MODEL" });
	await t.throwsAsync(writeModel(join(dir, "m.onnx", "x.onnx"), model()), {
		code: "E_OUTPUT",
	});
});
