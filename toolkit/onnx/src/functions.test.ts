import { create, toBinary } from "@bufbuild/protobuf";
import test from "ava";
import * as ort from "onnxruntime-node";
import { decodeModel, encodeModel } from "./codec.ts";
import * as pb from "./gen/onnx_pb.ts";

const A = pb.AttributeProto_AttributeType;
const node = (
	opType: string,
	input: string[],
	output: string[],
	rest: { domain?: string; name?: string; attribute?: object[] } = {},
) => ({
	opType,
	input,
	output,
	domain: rest.domain ?? "",
	name: rest.name ?? "",
	attribute: (rest.attribute ?? []).map((a) =>
		create(pb.AttributeProtoSchema, a),
	),
});
const value = (name: string) => ({
	name,
	type: {
		value: {
			case: "tensorType" as const,
			value: {
				elemType: 1,
				shape: { dim: [{ value: { case: "dimParam" as const, value: "N" } }] },
			},
		},
	},
});
const opset = (domain: string, version: number) =>
	create(pb.OperatorSetIdProtoSchema, { domain, version: BigInt(version) });

/** y = leaky(twice(x)), with `leaky` and `twice` as functions; `twice` also hands its input on. */
function model(
	change: (functions: pb.FunctionProto[]) => void = () => {},
): Uint8Array {
	const functions = [
		{
			name: "leaky",
			domain: "mine",
			input: ["v"],
			output: ["out"],
			attribute: ["slope"],
			opsetImport: [opset("", 17)],
			node: [
				node("LeakyRelu", ["v"], ["out"], {
					attribute: [{ name: "alpha", refAttrName: "slope", type: A.FLOAT }],
				}),
			],
		},
		{
			name: "twice",
			domain: "mine",
			input: ["v"],
			output: ["double", "v"],
			opsetImport: [opset("", 17), opset("mine", 1)],
			node: [
				node("leaky", ["v"], ["tmp"], {
					domain: "mine",
					attribute: [{ name: "slope", f: 1, type: A.FLOAT }],
				}),
				node("Add", ["v", "tmp"], ["double"]),
			],
		},
	].map((f) => create(pb.FunctionProtoSchema, f));
	change(functions);
	return toBinary(
		pb.ModelProtoSchema,
		create(pb.ModelProtoSchema, {
			irVersion: 8n,
			opsetImport: [opset("", 17), opset("mine", 1)],
			functions,
			graph: {
				name: "g",
				input: [value("x")],
				output: [value("y"), value("same")],
				node: [
					node("twice", ["x"], ["tmp", "same"], { domain: "mine", name: "a" }),
					node("twice", ["tmp"], ["more", "unused"], {
						domain: "mine",
						name: "b",
					}),
					node("leaky", ["more"], ["y"], {
						domain: "mine",
						attribute: [{ name: "slope", f: 0.5, type: A.FLOAT }],
					}),
				],
			},
		}),
	);
}

test("functions become their nodes: the same values, no two of one name", async (t) => {
	const graph = decodeModel(model());
	t.deepEqual(
		graph.nodes.map((n) => n.op),
		[
			"LeakyRelu",
			"Add",
			"Identity",
			"LeakyRelu",
			"Add",
			"Identity",
			"LeakyRelu",
		],
	);
	const names = graph.nodes.flatMap((n) => n.outputs);
	t.is(new Set(names).size, names.length);
	const run = async (model: Uint8Array) => {
		const session = await ort.InferenceSession.create(model, {
			logSeverityLevel: 3,
		});
		const x = new ort.Tensor("float32", [1, -2, 3], [3]);
		const { y, same } = await session.run({ x });
		await session.release();
		return [y, same].map((v) => Array.from(v?.data as Float32Array));
	};
	const inlined = await run(encodeModel(graph));
	t.deepEqual(inlined, [
		[4, -4, 12],
		[1, -2, 3],
	]);
	// ONNX Runtime inlines them too, but takes no output that is an input.
	const plain = model(([, twice]) => {
		twice?.output.splice(1, 1, "copy");
		twice?.node.push(
			create(pb.NodeProtoSchema, node("Identity", ["v"], ["copy"])),
		);
	});
	t.deepEqual(inlined, await run(plain));
});

test("functions that cannot be replaced are refused by name", (t) => {
	for (const [message, change] of [
		[
			/twice calls itself/,
			([, twice]) => {
				for (const n of twice?.node ?? []) if (n.domain) n.opType = "twice";
			},
		],
		[
			/leaky is written for opset 13 of "", the model for 17/,
			([leaky]) => {
				if (leaky) leaky.opsetImport = [opset("", 13)];
			},
		],
		[
			/leaky has a default for steepness/,
			([leaky]) => {
				if (!leaky) return;
				leaky.attribute = [];
				for (const n of leaky.node)
					for (const a of n.attribute) a.refAttrName = "steepness";
			},
		],
		[
			/two functions of one name/,
			([leaky, twice]) => {
				if (leaky && twice) twice.name = leaky.name;
			},
		],
	] as [RegExp, (f: pb.FunctionProto[]) => void][])
		t.throws(() => decodeModel(model(change)), {
			code: "E_MODEL",
			message,
		});
});
