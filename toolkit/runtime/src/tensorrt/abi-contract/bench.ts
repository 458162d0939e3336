// Calls of a library under test, and what several parts of the contract do with them.
import type { Asserts } from "../../engine-contract.ts";
import { type FunctionName, loadLibrary, WHY } from "../ffi.ts";
import { STATUS, text } from "../status.ts";

const { ok, pending } = STATUS;
/** A shape as the library takes it. */
export const dims = (...d: number[]) => BigInt64Array.from(d, BigInt);

/** One library under test: calls with their status, and the last `why`. */
export class Bench {
	readonly #library;
	readonly #t: Asserts;
	why = "";
	/** Whether the engine has int64 as int64; before TensorRT 10 it is int32. */
	wide = true;

	constructor(t: Asserts, path: string) {
		this.#t = t;
		this.#library = loadLibrary(path);
	}

	/** Calls away from this thread, as blocking calls are; `why` is added where `args` end in one. */
	async is(status: number, name: FunctionName, ...args: unknown[]) {
		const why = Buffer.alloc(WHY, 0xff);
		const has = args.at(-1) === "why";
		const given = has ? [...args.slice(0, -1), why] : args;
		const answer = await this.#library.away(name, ...given);
		this.why = has && answer !== ok ? text(why) : "";
		this.#t.is(answer, status, `${name}: ${this.why}`);
		if (has && answer !== ok) this.#t.true(this.why.length > 0, name);
	}

	/** The same, and hands out what the call made. */
	async made(name: FunctionName, ...args: unknown[]): Promise<unknown> {
		const out: unknown[] = [null];
		await this.is(ok, name, ...args, out, "why");
		return out[0];
	}

	close(name: FunctionName, handle: unknown): void {
		this.#library.call(name, handle);
	}

	call(name: FunctionName, ...args: unknown[]): number {
		return this.#library.call(name, ...args);
	}
}

export const floats = (...x: number[]) => Float32Array.from(x);

/** Feeds a, b and n of `arithmetic` with two elements each. */
export async function feed(b: Bench, run: unknown): Promise<void> {
	await b.is(ok, "wv_run_feed", run, 0, 2, dims(1, 2), floats(1, 2), 8, "why");
	await b.is(ok, "wv_run_feed", run, 1, 2, dims(1, 2), floats(3, 4), 8, "why");
	await feedN(b, run, 5, 6);
}

export async function feedN(
	b: Bench,
	run: unknown,
	...n: number[]
): Promise<void> {
	const data = b.wide ? dims(...n) : Int32Array.from(n);
	const shape = dims(n.length);
	await b.is(ok, "wv_run_feed", run, 2, 1, shape, data, data.byteLength, "why");
}

/** Waits for a run's end as the FFI does: in slices. */
export async function ended(b: Bench, run: unknown): Promise<number> {
	for (;;) {
		const status = b.call("wv_run_wait", run, 50, null);
		if (status !== pending) return status;
	}
}

export async function product(b: Bench, run: unknown): Promise<number[]> {
	const into = new Float32Array(2);
	await b.is(ok, "wv_run_read", run, 4, into, 8);
	return [...into];
}
