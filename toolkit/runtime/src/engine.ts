import { WattvoxError } from "@wattvox/core";
import type { Dtype, Feed, Tensor } from "./tensor.ts";
import { arrayOf } from "./tensor.ts";

/** One input or output of a model. A string in `shape` is the name of a free dimension. */
export interface Port {
	readonly name: string;
	readonly dtype: Dtype;
	readonly shape: readonly (number | string)[];
}

export interface RunOptions {
	/** Abandons the run: the promise rejects at once, a native call under way ends unseen. */
	signal?: AbortSignal | undefined;
	/** Outputs to compute and return; all of them by default. */
	outputs?: readonly string[] | undefined;
}

export type Feeds = Readonly<Record<string, Feed>>;
/** Outputs by name. Their buffers are the caller's alone. */
export type Results = Record<string, Tensor>;

/**
 * Something that computes a model's outputs from its inputs. ONNX Runtime is one ({@link
 * createEngine}), TensorRT another (`@wattvox/runtime/tensorrt`). Every engine passes `engineContract`.
 *
 * INVARIANTS
 * - A lent feed is never changed nor kept; a given feed is never read by the caller again.
 * - Outputs are fresh: no two runs share a buffer, no output aliases a feed.
 * - Runs of one engine happen in the order they were asked for.
 * - After `dispose` nothing runs; runs under way reject with E_INTERRUPTED.
 */
export interface Engine {
	readonly inputs: readonly Port[];
	readonly outputs: readonly Port[];
	/**
	 * Runs the model once.
	 * @throws WattvoxError E_MODEL (feeds that do not fit, or the model fails on them),
	 *   E_INTERRUPTED (aborted, or disposed meanwhile), E_MEMORY, E_BUG (used after dispose)
	 */
	run(feeds: Feeds, options?: RunOptions): Promise<Results>;
	/** Frees the model. Idempotent. */
	dispose(): Promise<void>;
}

/** Whether a feed is given (moved) rather than lent (copied). */
export function tensorOf(feed: Feed): Tensor {
	return "given" in feed ? feed.given : feed;
}

/**
 * Checks feeds against a model's inputs: names, dtypes, ranks, fixed dims, lengths, and that one
 * free dimension has one value in all of them.
 * @throws WattvoxError E_MODEL naming the input
 */
export function checkFeeds(inputs: readonly Port[], feeds: Feeds): void {
	const free = new Map<string, number>();
	for (const port of inputs) {
		const feed = feeds[port.name];
		if (!feed) throw misfit(`input "${port.name}" is missing`);
		checkTensor(port, tensorOf(feed), free);
	}
	for (const name of Object.keys(feeds))
		if (!inputs.some((p) => p.name === name))
			throw misfit(
				`no input "${name}"; the model has ${inputs.map((p) => `"${p.name}"`).join(", ")}`,
			);
}

function checkTensor(port: Port, t: Tensor, free: Map<string, number>): void {
	const what = `input "${port.name}"`;
	if (t.dtype !== port.dtype)
		throw misfit(`${what} is ${t.dtype}, the model wants ${port.dtype}`);
	if (!(t.data instanceof arrayOf(port.dtype)))
		throw misfit(`${what} holds another array than ${port.dtype} needs`);
	const want = `[${port.shape.join(", ")}]`;
	const fits =
		t.dims.length === port.shape.length &&
		t.dims.every((d, i) => fitsDim(d, port.shape[i], free));
	if (!fits)
		throw misfit(`${what} has shape [${t.dims}], the model wants ${want}`);
	if (t.dims.reduce((n, d) => n * d, 1) !== t.data.length)
		throw misfit(
			`${what} has ${t.data.length} elements, its shape [${t.dims}] needs others`,
		);
}

function fitsDim(
	d: number,
	want: number | string | undefined,
	free: Map<string, number>,
): boolean {
	if (!Number.isSafeInteger(d) || d < 0) return false;
	if (typeof want === "number") return d === want;
	// An unnamed free dimension (empty string) constrains nothing.
	if (!want) return true;
	const seen = free.get(want);
	free.set(want, d);
	return seen === undefined || seen === d;
}

function misfit(message: string): WattvoxError {
	return new WattvoxError("E_MODEL", message);
}
