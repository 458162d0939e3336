import { fromHalf, toHalf } from "./half.ts";
import { type DType, sizeOf, type Tensor } from "./types.ts";

/** A float32 tensor. */
export function floats(
	data: Float32Array | readonly number[],
	dims?: readonly number[],
): Tensor {
	const array = data instanceof Float32Array ? data : Float32Array.from(data);
	return {
		dtype: "float32",
		dims: dims ? [...dims] : [array.length],
		data: array,
	};
}

/** An int64 tensor. */
export function int64s(
	data: readonly number[] | BigInt64Array,
	dims?: readonly number[],
): Tensor {
	const array =
		data instanceof BigInt64Array ? data : BigInt64Array.from(data.map(BigInt));
	return {
		dtype: "int64",
		dims: dims ? [...dims] : [array.length],
		data: array,
	};
}

/** A float32 scalar. */
export const scalar = (value: number): Tensor => floats([value], []);

/** A float32 tensor of zeros. */
export const zeros = (dims: readonly number[]): Tensor =>
	floats(new Float32Array(sizeOf(dims)), dims);

/** A floating tensor in another floating type; other tensors are returned as they are. */
export function castFloat(tensor: Tensor, to: DType): Tensor {
	if (tensor.dtype === to) return tensor;
	if (tensor.dtype === "float32" && to === "float16")
		return {
			dtype: to,
			dims: tensor.dims,
			data: toHalf(tensor.data as Float32Array),
		};
	if (tensor.dtype === "float16" && to === "float32")
		return {
			dtype: to,
			dims: tensor.dims,
			data: fromHalf(tensor.data as Uint16Array),
		};
	return tensor;
}
