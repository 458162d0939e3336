import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { WattvoxError } from "@wattvox/core";
import { bytesOf, dataFrom } from "./bytes.ts";
import { isFresh } from "./dims.ts";
import { inlineFunctions } from "./functions.ts";
import * as pb from "./gen/onnx_pb.ts";
import {
	type Attr,
	DATA_CLASS,
	DTYPE_CODE,
	type DType,
	dtypeOf,
	type Graph,
	type Node,
	sizeOf,
	type Tensor,
	type TensorData,
	type Value,
	type ValueType,
} from "./types.ts";

const A = pb.AttributeProto_AttributeType;
const text = new TextEncoder();
const untext = new TextDecoder();
const IR_VERSION = 8n;

function decodeTensor(proto: pb.TensorProto): Tensor {
	const dtype = dtypeOf(proto.dataType);
	if (!dtype)
		throw new WattvoxError(
			"E_MODEL",
			`tensor ${proto.name} has element type ${proto.dataType}, which is not supported`,
		);
	if (proto.externalData.length > 0)
		throw new WattvoxError(
			"E_MODEL",
			`tensor ${proto.name} keeps its data in another file; load it with readModel`,
		);
	const dims = proto.dims.map(Number);
	const each = DATA_CLASS[dtype].BYTES_PER_ELEMENT;
	const data =
		proto.rawData.length % each ? undefined : tensorData(proto, dtype);
	if (data?.length !== sizeOf(dims) || dims.some((d) => d < 0))
		throw new WattvoxError(
			"E_MODEL",
			`tensor ${proto.name} holds ${data?.length ?? proto.rawData.length / each} elements, its shape is [${dims}]`,
		);
	return { dtype, dims, data };
}

function tensorData(proto: pb.TensorProto, dtype: DType): TensorData {
	if (proto.rawData.length > 0) return dataFrom(dtype, proto.rawData);
	switch (dtype) {
		case "float32":
			return Float32Array.from(proto.floatData);
		case "float64":
			return Float64Array.from(proto.doubleData);
		case "int64":
			return BigInt64Array.from(proto.int64Data);
		case "uint64":
			return BigUint64Array.from(proto.uint64Data);
		case "uint32":
			return Uint32Array.from(proto.uint64Data.map(Number));
		default: {
			const data = new DATA_CLASS[dtype](
				new ArrayBuffer(
					proto.int32Data.length * DATA_CLASS[dtype].BYTES_PER_ELEMENT,
				),
			) as Int32Array;
			data.set(proto.int32Data);
			return data;
		}
	}
}

function encodeTensor(name: string, tensor: Tensor): pb.TensorProto {
	return create(pb.TensorProtoSchema, {
		name,
		dims: tensor.dims.map(BigInt),
		dataType: DTYPE_CODE[tensor.dtype],
		rawData: bytesOf(tensor.data),
	});
}

function decodeType(info: pb.ValueInfoProto): ValueType | undefined {
	const type = info.type?.value;
	if (type?.case !== "tensorType") return undefined;
	const dtype = dtypeOf(type.value.elemType);
	if (!dtype) return undefined;
	const shape = type.value.shape?.dim.map((d, i) =>
		d.value.case === "dimValue"
			? Number(d.value.value)
			: d.value.case === "dimParam" && d.value.value && !isFresh(d.value.value)
				? d.value.value
				: `${info.name}.${i}`,
	);
	return { dtype, shape };
}

function decodeValue(info: pb.ValueInfoProto): Value {
	const type = decodeType(info);
	if (!type)
		throw new WattvoxError(
			"E_MODEL",
			`value ${info.name} is not a tensor of a supported element type`,
		);
	return { name: info.name, ...type };
}

function encodeValue(value: Value): pb.ValueInfoProto {
	const shape = value.shape && {
		dim: value.shape.map((d) =>
			create(pb.TensorShapeProto_DimensionSchema, {
				value:
					typeof d === "number"
						? { case: "dimValue", value: BigInt(d) }
						: isFresh(d)
							? { case: undefined }
							: { case: "dimParam", value: d },
			}),
		),
	};
	return create(pb.ValueInfoProtoSchema, {
		name: value.name,
		type: {
			value: {
				case: "tensorType",
				value: { elemType: DTYPE_CODE[value.dtype], ...(shape && { shape }) },
			},
		},
	});
}

function decodeAttr(proto: pb.AttributeProto, node: string): Attr {
	switch (proto.type) {
		case A.INT:
			return { kind: "int", value: Number(proto.i) };
		case A.FLOAT:
			return { kind: "float", value: proto.f };
		case A.STRING:
			return { kind: "string", value: untext.decode(proto.s) };
		case A.INTS:
			return { kind: "ints", value: proto.ints.map(Number) };
		case A.FLOATS:
			return { kind: "floats", value: proto.floats };
		case A.STRINGS:
			return {
				kind: "strings",
				value: proto.strings.map((s) => untext.decode(s)),
			};
		case A.TENSOR:
			if (proto.t) return { kind: "tensor", value: decodeTensor(proto.t) };
			break;
		case A.GRAPH:
			if (proto.g) return { kind: "graph", value: decodeGraph(proto.g, {}) };
			break;
	}
	throw new WattvoxError(
		"E_MODEL",
		`attribute ${proto.name} of node ${node} has a type that is not supported (${proto.type})`,
	);
}

/** The ends of int64 ("to the end" in old slices) round up to 2^63 as numbers: back into range. */
const toInt64 = (value: number): bigint => {
	const wide = BigInt(value);
	const most = (1n << 63n) - 1n;
	return wide > most ? most : wide < -most ? -most - 1n : wide;
};

function encodeAttr(name: string, attr: Attr): pb.AttributeProto {
	const of = (type: pb.AttributeProto_AttributeType, rest: object) =>
		create(pb.AttributeProtoSchema, { name, type, ...rest });
	switch (attr.kind) {
		case "int":
			return of(A.INT, { i: toInt64(attr.value) });
		case "float":
			return of(A.FLOAT, { f: attr.value });
		case "string":
			return of(A.STRING, { s: text.encode(attr.value) });
		case "ints":
			return of(A.INTS, { ints: attr.value.map(toInt64) });
		case "floats":
			return of(A.FLOATS, { floats: attr.value });
		case "strings":
			return of(A.STRINGS, { strings: attr.value.map((s) => text.encode(s)) });
		case "tensor":
			return of(A.TENSOR, { t: encodeTensor("", attr.value) });
		case "graph":
			return of(A.GRAPH, { g: encodeGraph(attr.value) });
	}
}

function decodeGraph(
	proto: pb.GraphProto,
	opsets: Record<string, number>,
): Graph {
	if (proto.sparseInitializer.length > 0)
		throw new WattvoxError(
			"E_MODEL",
			`graph ${proto.name} has sparse initialisers, which are not supported`,
		);
	const initializers = new Map(
		proto.initializer.map((t) => [t.name, decodeTensor(t)] as const),
	);
	const valueInfo = new Map<string, ValueType>();
	for (const info of proto.valueInfo) {
		const type = decodeType(info);
		if (type) valueInfo.set(info.name, type);
	}
	return {
		name: proto.name,
		opsets,
		// Before IR 4 initialisers were listed among the inputs too: an input is what must be fed.
		inputs: proto.input
			.filter((v) => !initializers.has(v.name))
			.map(decodeValue),
		outputs: proto.output.map(decodeValue),
		nodes: proto.node.map(
			(n): Node => ({
				op: n.opType,
				domain: n.domain === "ai.onnx" ? "" : n.domain,
				name: n.name,
				inputs: [...n.input],
				outputs: [...n.output],
				attrs: Object.fromEntries(
					n.attribute.map((a) => [a.name, decodeAttr(a, n.name)]),
				),
			}),
		),
		initializers,
		valueInfo,
		metadata: {},
	};
}

/**
 * Inputs without the empty names at their end: older opsets may not know an optional input at all, and
 * ONNX Runtime 1.30 crashes on LayerNormalization with an empty third one.
 */
function withoutTail(inputs: readonly string[]): string[] {
	return inputs.slice(0, inputs.findLastIndex((name) => name !== "") + 1);
}

function encodeGraph(graph: Graph): pb.GraphProto {
	return create(pb.GraphProtoSchema, {
		name: graph.name,
		input: graph.inputs.map(encodeValue),
		output: graph.outputs.map(encodeValue),
		node: graph.nodes.map((n) =>
			create(pb.NodeProtoSchema, {
				opType: n.op,
				domain: n.domain,
				name: n.name,
				input: withoutTail(n.inputs),
				output: n.outputs,
				attribute: Object.entries(n.attrs).map(([k, a]) => encodeAttr(k, a)),
			}),
		),
		initializer: [...graph.initializers].map(([k, t]) => encodeTensor(k, t)),
		valueInfo: [...graph.valueInfo].map(([name, type]) =>
			encodeValue({ name, ...type }),
		),
	});
}

/** Reads the protobuf of a model. @throws WattvoxError E_MODEL when the bytes are no ONNX model */
export function parseModel(bytes: Uint8Array): pb.ModelProto {
	try {
		return fromBinary(pb.ModelProtoSchema, bytes);
	} catch (cause) {
		throw new WattvoxError("E_MODEL", "not an ONNX model", { cause });
	}
}

/** The graph of a parsed model. @throws WattvoxError E_MODEL for what we do not handle */
export function graphOf(model: pb.ModelProto): Graph {
	if (!model.graph)
		throw new WattvoxError("E_MODEL", "the ONNX model has no graph");
	inlineFunctions(model);
	const opsets = Object.fromEntries(
		model.opsetImport.map((o) => [
			o.domain === "ai.onnx" ? "" : o.domain,
			Number(o.version),
		]),
	);
	return {
		...decodeGraph(model.graph, opsets),
		metadata: Object.fromEntries(
			model.metadataProps.map((p) => [p.key, p.value]),
		),
	};
}

/**
 * Reads an ONNX model whose data is all inside.
 * @throws WattvoxError E_MODEL when the bytes are no ONNX model, or use what we do not handle
 */
export const decodeModel = (bytes: Uint8Array): Graph =>
	graphOf(parseModel(bytes));

/** The protobuf of a graph; see {@link encodeModel}. */
export function protoOf(
	graph: Graph,
	untyped: readonly string[] = [],
): pb.ModelProto {
	const encoded = encodeGraph(graph);
	for (const name of untyped)
		encoded.output.push(create(pb.ValueInfoProtoSchema, { name }));
	return create(pb.ModelProtoSchema, {
		irVersion: IR_VERSION,
		producerName: "wattvox",
		opsetImport: Object.entries(graph.opsets).map(([domain, version]) =>
			create(pb.OperatorSetIdProtoSchema, {
				domain,
				version: BigInt(version),
			}),
		),
		graph: encoded,
		metadataProps: Object.entries(graph.metadata).map(([key, value]) =>
			create(pb.StringStringEntryProtoSchema, { key, value }),
		),
	});
}

/**
 * Writes an ONNX model with its data inside. Protobuf holds at most 2 GiB: beyond, use writeModel.
 * @param untyped names of further values to give out, whose types are left for the runtime to find
 */
export const encodeModel = (
	graph: Graph,
	untyped: readonly string[] = [],
): Uint8Array => toBinary(pb.ModelProtoSchema, protoOf(graph, untyped));
