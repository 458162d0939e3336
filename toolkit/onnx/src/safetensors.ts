import { WattvoxError } from "@wattvox/core";
import { bytesOf, dataFrom } from "./bytes.ts";
import { DATA_CLASS, type DType, sizeOf, type Tensor } from "./types.ts";

const NAMES: Record<DType, string> = {
	float32: "F32",
	float16: "F16",
	float64: "F64",
	bfloat16: "BF16",
	int64: "I64",
	int32: "I32",
	int16: "I16",
	int8: "I8",
	uint8: "U8",
	uint16: "U16",
	uint32: "U32",
	uint64: "U64",
	bool: "BOOL",
};
const DTYPES = new Map(
	Object.entries(NAMES).map(([dtype, name]) => [name, dtype as DType]),
);
const MAX_HEADER = 100 << 20;

/** Writes tensors in the safetensors format (header length, JSON header, data). */
export function encodeSafetensors(
	tensors: ReadonlyMap<string, Tensor>,
	metadata: Record<string, string> = {},
): Uint8Array {
	// Without a prototype any name can be a key.
	const header: Record<string, unknown> = Object.create(null);
	if (Object.keys(metadata).length) header.__metadata__ = metadata;
	let offset = 0;
	for (const [name, t] of tensors) {
		const end = offset + t.data.byteLength;
		header[name] = {
			dtype: NAMES[t.dtype],
			shape: t.dims,
			data_offsets: [offset, end],
		};
		offset = end;
	}
	let json = JSON.stringify(header);
	// The data starts on a multiple of 8, as the format's own writer does it.
	while ((Buffer.byteLength(json) + 8) % 8) json += " ";
	const head = Buffer.from(json);
	const out = new Uint8Array(8 + head.length + offset);
	new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
	out.set(head, 8);
	let at = 8 + head.length;
	for (const t of tensors.values()) {
		out.set(bytesOf(t.data), at);
		at += t.data.byteLength;
	}
	return out;
}

/**
 * Reads a safetensors file.
 * @throws WattvoxError E_FILE_FORMAT when it is damaged or uses an element type we do not handle
 */
export function decodeSafetensors(bytes: Uint8Array): {
	tensors: Map<string, Tensor>;
	metadata: Record<string, string>;
} {
	const bad = (why: string) =>
		new WattvoxError("E_FILE_FORMAT", `not a safetensors file: ${why}`);
	if (bytes.length < 8) throw bad("too short");
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const length = Number(view.getBigUint64(0, true));
	if (length > MAX_HEADER || 8 + length > bytes.length)
		throw bad("header length");
	let header: unknown;
	try {
		header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString());
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", "not a safetensors file: header", {
			cause,
		});
	}
	if (!isRecord(header)) throw bad("header");
	const { __metadata__: metadata = {}, ...entries } = header;
	if (!isRecord(metadata)) throw bad("metadata");
	const tensors = new Map<string, Tensor>();
	const data = bytes.subarray(8 + length);
	for (const [name, e] of Object.entries(entries)) {
		if (!isRecord(e)) throw bad(`the entry of ${name}`);
		const dtype = DTYPES.get(String(e.dtype));
		if (!dtype) throw bad(`${name} has element type ${e.dtype}`);
		if (!isSizes(e.shape)) throw bad(`the shape of ${name}`);
		if (!isSizes(e.data_offsets)) throw bad(`the offsets of ${name}`);
		const [start = -1, end = -1] = e.data_offsets;
		if (
			start < 0 ||
			end > data.length ||
			end - start !== sizeOf(e.shape) * DATA_CLASS[dtype].BYTES_PER_ELEMENT
		)
			throw bad(`${name} lies outside the data`);
		tensors.set(name, {
			dtype,
			dims: e.shape,
			data: dataFrom(dtype, data.subarray(start, end)),
		});
	}
	return {
		tensors,
		metadata: Object.fromEntries(
			Object.entries(metadata).map(([k, v]) => [k, String(v)]),
		),
	};
}

const isRecord = (v: unknown): v is Record<string, unknown> =>
	typeof v === "object" && v !== null && !Array.isArray(v);
const isSizes = (v: unknown): v is number[] =>
	Array.isArray(v) && v.every((d) => Number.isSafeInteger(d) && d >= 0);
