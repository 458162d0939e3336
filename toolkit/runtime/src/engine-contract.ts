import type { Engine } from "./engine.ts";
import { give, type Tensor, tensor } from "./tensor.ts";
import { arithmetic, heavy } from "./tiny-model.ts";

/** What the suite needs of a test runner's assertions; ava's `t` fits. */
export interface Asserts {
	is(actual: unknown, expected: unknown, message?: string): unknown;
	deepEqual(actual: unknown, expected: unknown, message?: string): unknown;
	true(actual: boolean, message?: string): unknown;
	throwsAsync(
		promise: Promise<unknown>,
		expectation: { code: string; message?: RegExp },
	): Promise<unknown>;
}

const floats = (...x: number[]) =>
	tensor("float32", [1, x.length], Float32Array.from(x));
const longs = (...x: number[]) =>
	tensor("int64", [x.length], BigInt64Array.from(x, BigInt));
const square = (n: number, value: number) =>
	tensor("float32", [n, n], new Float32Array(n * n).fill(value));

/**
 * What every engine must do. Each check loads its own models through `make` and disposes of them.
 * @param make loads a model (ONNX bytes) into the engine under test
 */
export async function engineContract(
	t: Asserts,
	make: (model: Uint8Array) => Promise<Engine>,
): Promise<void> {
	await describesItself(t, await make(arithmetic()));
	await computes(t, await make(arithmetic()));
	await keepsBuffersApart(t, await make(arithmetic()));
	await refusesMisfits(t, await make(arithmetic()));
	await abandons(t, await make(heavy(60)));
	await disposes(t, await make(heavy(20)));
	await t.throwsAsync(make(Uint8Array.from([1, 2, 3])), { code: "E_MODEL" });
}

async function describesItself(t: Asserts, engine: Engine): Promise<void> {
	t.deepEqual(engine.inputs, [
		{ name: "a", dtype: "float32", shape: [1, "N"] },
		{ name: "b", dtype: "float32", shape: [1, "N"] },
		{ name: "n", dtype: "int64", shape: ["N"] },
	]);
	t.deepEqual(
		engine.outputs.map((o) => [o.name, o.dtype]),
		[
			["sum", "float32"],
			["product", "float32"],
			["twice", "int64"],
		],
	);
	await engine.dispose();
}

async function computes(t: Asserts, engine: Engine): Promise<void> {
	const feeds = { a: floats(1, 2), b: floats(3, 4), n: longs(5, -6) };
	const all = await engine.run(feeds);
	t.deepEqual(all, {
		sum: floats(4, 6),
		product: floats(3, 8),
		twice: longs(10, -12),
	});
	const one = await engine.run(feeds, { outputs: ["product"] });
	t.deepEqual(Object.keys(one), ["product"]);
	// Other lengths, asked for all at once, answered in order and each its own.
	const many = await Promise.all(
		[1, 2, 3, 4].map((k) => {
			const a = floats(...Array<number>(k).fill(k));
			return engine.run({ a, b: a, n: longs(...Array<number>(k).fill(k)) });
		}),
	);
	t.deepEqual(
		many.map((m) => [...(m.product?.data ?? [])]),
		[[1], [4, 4], [9, 9, 9], [16, 16, 16, 16]],
	);
	await engine.dispose();
}

async function keepsBuffersApart(t: Asserts, engine: Engine): Promise<void> {
	const a = floats(1, 2);
	const b = floats(10, 20);
	// A part of a larger buffer, lent.
	const n: Tensor<"int64"> = {
		...longs(0, 0),
		data: BigInt64Array.from([7n, 8n, 9n, 10n]).subarray(1, 3),
	};
	const running = engine.run({ a, b: give(b), n });
	a.data.fill(99); // lent: what happens to it now must not matter
	const first = await running;
	t.deepEqual([...(first.sum?.data ?? [])], [11, 22]);
	t.deepEqual([...(first.twice?.data ?? [])], [16n, 18n]);
	t.is(a.data.length, 2, "a lent buffer stays");
	t.is(b.data.length, 0, "a given buffer is gone");
	const again = await engine.run({ a, b: a, n });
	t.deepEqual([...(first.sum?.data ?? [])], [11, 22], "outputs are not reused");
	t.deepEqual([...(again.sum?.data ?? [])], [198, 198]);
	await engine.dispose();
}

async function refusesMisfits(t: Asserts, engine: Engine): Promise<void> {
	const good = { a: floats(1), b: floats(1), n: longs(1) };
	const bad: [object, RegExp][] = [
		[{ ...good, n: undefined }, /"n" is missing/],
		[{ ...good, extra: floats(1) }, /no input "extra"/],
		[{ ...good, n: floats(1) }, /"n" is float32, the model wants int64/],
		[{ ...good, a: tensor("float32", [1], new Float32Array(1)) }, /shape/],
		[{ ...good, a: tensor("float32", [2, 1], new Float32Array(2)) }, /shape/],
		[{ ...good, b: floats(1, 2) }, /shape/],
		[{ ...good, a: { ...floats(1), data: new Float32Array(3) } }, /elements/],
		[{ ...good, a: { ...floats(1), data: [1] } }, /array/],
	];
	for (const [feeds, message] of bad)
		await t.throwsAsync(engine.run(feeds as typeof good), {
			code: "E_MODEL",
			message,
		});
	await t.throwsAsync(engine.run(good, { outputs: ["nothing"] }), {
		code: "E_MODEL",
	});
	t.is((await engine.run(good)).sum?.data[0], 2, "still works");
	await engine.dispose();
}

async function abandons(t: Asserts, engine: Engine): Promise<void> {
	const x = square(256, 1 / 256);
	const stop = new AbortController();
	const running = engine.run({ x }, { signal: stop.signal });
	const waiting = engine.run({ x }, { signal: stop.signal });
	stop.abort();
	await t.throwsAsync(running, { code: "E_INTERRUPTED" });
	await t.throwsAsync(waiting, { code: "E_INTERRUPTED" });
	await t.throwsAsync(engine.run({ x }, { signal: stop.signal }), {
		code: "E_INTERRUPTED",
	});
	// The engine is not lost with the run.
	const after = await engine.run({ x: square(2, 0.5) });
	t.deepEqual([...(after.y?.data ?? [])], [0.5, 0.5, 0.5, 0.5]);
	await engine.dispose();
}

async function disposes(t: Asserts, engine: Engine): Promise<void> {
	const x = square(128, 1 / 128);
	const pending = [engine.run({ x }), engine.run({ x })];
	const ended = pending.map((p) => t.throwsAsync(p, { code: "E_INTERRUPTED" }));
	await Promise.all([engine.dispose(), engine.dispose(), ...ended]);
	await t.throwsAsync(engine.run({ x }), { code: "E_BUG" });
}
