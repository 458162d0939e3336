/** Element types that wattvox reads and writes, by their usual names. */
export type DType =
	| "float32"
	| "float16"
	| "float64"
	| "bfloat16"
	| "int8"
	| "uint8"
	| "int16"
	| "uint16"
	| "int32"
	| "uint32"
	| "int64"
	| "uint64"
	| "bool";

/** TensorProto.DataType numbers (onnx.proto). */
export const DTYPE_CODE: Record<DType, number> = {
	float32: 1,
	uint8: 2,
	int8: 3,
	uint16: 4,
	int16: 5,
	int32: 6,
	int64: 7,
	bool: 9,
	float16: 10,
	float64: 11,
	uint32: 12,
	uint64: 13,
	bfloat16: 16,
};

const BY_CODE = new Map(
	Object.entries(DTYPE_CODE).map(([name, code]) => [code, name as DType]),
);

/** The element type of a TensorProto.DataType number, or undefined for one we do not handle. */
export const dtypeOf = (code: number): DType | undefined => BY_CODE.get(code);

/** float16 and bfloat16 are held as raw 16-bit words; bool as one byte each. */
export type TensorData =
	| Float32Array
	| Float64Array
	| Int8Array
	| Uint8Array
	| Int16Array
	| Uint16Array
	| Int32Array
	| Uint32Array
	| BigInt64Array
	| BigUint64Array;

type DataConstructor = new (
	buffer: ArrayBuffer,
	offset?: number,
	length?: number,
) => TensorData;

/** The array class that holds each element type. */
export const DATA_CLASS: Record<
	DType,
	DataConstructor & { BYTES_PER_ELEMENT: number }
> = {
	float32: Float32Array,
	float64: Float64Array,
	float16: Uint16Array,
	bfloat16: Uint16Array,
	int8: Int8Array,
	uint8: Uint8Array,
	int16: Int16Array,
	uint16: Uint16Array,
	int32: Int32Array,
	uint32: Uint32Array,
	int64: BigInt64Array,
	uint64: BigUint64Array,
	bool: Uint8Array,
};

/** A dense tensor in row-major order. */
export interface Tensor {
	dtype: DType;
	dims: number[];
	data: TensorData;
}

/** A size: known, or a symbol such as "T" or "T+4" (see dims.ts). */
export type Dim = number | string;

/** What is known of a value before it is computed; `shape` is undefined when not even its rank is known. */
export interface ValueType {
	dtype: DType;
	shape: Dim[] | undefined;
	/**
	 * The elements of a short list of integers, as far as sizes and constants tell them: what a Shape
	 * and the operators behind it hold.
	 */
	ints?: (Dim | undefined)[];
}

/** A named value in a graph. */
export interface Value extends ValueType {
	name: string;
}

/** A node's attribute; ONNX tells int from float by type, so the kind is kept. */
export type Attr =
	| { kind: "int"; value: number }
	| { kind: "float"; value: number }
	| { kind: "string"; value: string }
	| { kind: "ints"; value: number[] }
	| { kind: "floats"; value: number[] }
	| { kind: "strings"; value: string[] }
	| { kind: "tensor"; value: Tensor }
	| { kind: "graph"; value: Graph };

/** One operation. An absent optional input or output is the empty string. */
export interface Node {
	op: string;
	/** "" is the standard ONNX domain. */
	domain: string;
	name: string;
	inputs: string[];
	outputs: string[];
	attrs: Record<string, Attr>;
}

/** An ONNX model's graph with what belongs to it. Nodes are in topological order. */
export interface Graph {
	name: string;
	/** Version of each operator domain; "" is the standard one. */
	opsets: Record<string, number>;
	inputs: Value[];
	outputs: Value[];
	nodes: Node[];
	initializers: Map<string, Tensor>;
	/** Declared types of inner values, where the file had them. */
	valueInfo: Map<string, ValueType>;
	metadata: Record<string, string>;
}

/** An integer attribute, or `fallback` when absent. */
export function intAttr(node: Node, name: string, fallback: number): number {
	const attr = node.attrs[name];
	return attr?.kind === "int" ? attr.value : fallback;
}

/** A float attribute, or `fallback` when absent. */
export function floatAttr(node: Node, name: string, fallback: number): number {
	const attr = node.attrs[name];
	return attr?.kind === "float" || attr?.kind === "int" ? attr.value : fallback;
}

/** An integer-list attribute, or undefined when absent. */
export function intsAttr(node: Node, name: string): number[] | undefined {
	const attr = node.attrs[name];
	return attr?.kind === "ints" ? attr.value : undefined;
}

/** A string attribute, or `fallback` when absent. */
export function stringAttr(node: Node, name: string, fallback: string): string {
	const attr = node.attrs[name];
	return attr?.kind === "string" ? attr.value : fallback;
}

/** Number of elements of a fixed shape. */
export const sizeOf = (dims: readonly number[]): number =>
	dims.reduce((a, b) => a * b, 1);
