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

/** float32 values as bfloat16 words, rounded to nearest even. */
function toBrain(values: Float32Array): Uint16Array {
	const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
	return Uint16Array.from(bits, (b) =>
		(b & 0x7fffffff) > 0x7f800000
			? (b >>> 16) | 0x40
			: (b + 0x7fff + ((b >>> 16) & 1)) >>> 16,
	);
}

/** bfloat16 words as float32 values. */
const fromBrain = (words: Uint16Array): Float32Array =>
	new Float32Array(Uint32Array.from(words, (w) => w << 16).buffer);

/**
 * A floating tensor in another floating type, rounded to nearest even; tensors of other types are
 * returned as they are.
 */
export function castFloat(tensor: Tensor, to: DType): Tensor {
	const { dtype, dims, data } = tensor;
	const floating = (d: DType) => d.includes("float");
	if (dtype === to || !floating(dtype) || !floating(to)) return tensor;
	const as = (converted: Tensor["data"]): Tensor => ({
		dtype: to,
		dims,
		data: converted,
	});
	const single =
		dtype === "float16"
			? fromHalf(data as Uint16Array)
			: dtype === "bfloat16"
				? fromBrain(data as Uint16Array)
				: Float32Array.from(data as Float64Array);
	if (to === "float16") return as(toHalf(single));
	if (to === "bfloat16") return as(toBrain(single));
	return as(to === "float64" ? Float64Array.from(single) : single);
}
