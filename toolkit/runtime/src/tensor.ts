import { WattvoxError } from "@wattvox/core";

/** Element types a tensor can have here, with the typed array that holds each. */
const ARRAYS = {
	float32: Float32Array,
	float64: Float64Array,
	/** IEEE half bits: Node 20 has no array of halves. */
	float16: Uint16Array,
	int8: Int8Array,
	int16: Int16Array,
	int32: Int32Array,
	int64: BigInt64Array,
	uint8: Uint8Array,
	uint16: Uint16Array,
	uint32: Uint32Array,
	uint64: BigUint64Array,
	bool: Uint8Array,
} as const;

export type Dtype = keyof typeof ARRAYS;
/** The array that holds a dtype. */
export type DataOf<D extends Dtype> = Held[D];
export type TensorData = DataOf<Dtype>;

// InstanceType would narrow the arrays to ArrayBuffer and refuse everybody's Float32Array.
interface Held {
	float32: Float32Array;
	float64: Float64Array;
	float16: Uint16Array;
	int8: Int8Array;
	int16: Int16Array;
	int32: Int32Array;
	int64: BigInt64Array;
	uint8: Uint8Array;
	uint16: Uint16Array;
	uint32: Uint32Array;
	uint64: BigUint64Array;
	bool: Uint8Array;
}

/** A dense tensor in row-major order. `dims` multiply to `data.length`; a scalar has no dims. */
export interface Tensor<D extends Dtype = Dtype> {
	readonly dtype: D;
	readonly dims: readonly number[];
	readonly data: DataOf<D>;
}

/**
 * A tensor whose buffer changes hands: after the call the giver's array is detached (length 0) and
 * must not be touched. Made by {@link give}. A plain {@link Tensor} is only lent: it is copied and
 * stays the caller's.
 */
export interface Given<D extends Dtype = Dtype> {
	readonly given: Tensor<D>;
}

/** What a run is fed: a lent tensor (copied) or a given one (moved, no copy). */
export type Feed = Tensor | Given;

/** True for the names in the table of element types. */
export function isDtype(name: string): name is Dtype {
	return Object.hasOwn(ARRAYS, name);
}

/** The typed array class that holds a dtype. */
export function arrayOf(dtype: Dtype): (typeof ARRAYS)[Dtype] {
	return ARRAYS[dtype];
}

/** Number of elements of a shape. */
export function sizeOf(dims: readonly number[]): number {
	return dims.reduce((n, d) => n * d, 1);
}

/**
 * A tensor over `data`, not copied.
 * @throws WattvoxError E_MODEL when the dims do not multiply to the data's length
 */
export function tensor<D extends Dtype>(
	dtype: D,
	dims: readonly number[],
	data: DataOf<D>,
): Tensor<D> {
	if (sizeOf(dims) !== data.length)
		throw new WattvoxError(
			"E_MODEL",
			`a ${dtype} tensor of shape [${dims}] needs ${sizeOf(dims)} elements, not ${data.length}`,
		);
	return { dtype, dims, data };
}

/**
 * Gives a tensor's buffer away to a run. The whole underlying ArrayBuffer moves, so the array must
 * cover all of it and nobody else may hold a view on it.
 * @throws WattvoxError E_BUG when the array is a view on part of a larger buffer
 */
export function give<D extends Dtype>(t: Tensor<D>): Given<D> {
	if (t.data.byteLength !== t.data.buffer.byteLength)
		throw new WattvoxError(
			"E_BUG",
			"give() moves a whole buffer, and this array is only a part of one",
		);
	return { given: t };
}
