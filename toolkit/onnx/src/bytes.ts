import { DATA_CLASS, type DType, type TensorData } from "./types.ts";

/** The bytes of a tensor's elements, without a copy. */
export const bytesOf = (data: TensorData): Uint8Array =>
	new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/**
 * Raw little-endian bytes as elements; copied, since the source may not be aligned.
 * @throws RangeError when the bytes are no whole number of elements
 */
export function dataFrom(dtype: DType, bytes: Uint8Array): TensorData {
	const copy = new Uint8Array(bytes.byteLength);
	copy.set(bytes);
	return new DATA_CLASS[dtype](copy.buffer);
}
