import { setImmediate } from "node:timers/promises";
import test from "ava";
import { type Speaking, Utterance } from "./utterance.ts";

/** A voice whose chunks are computed when the test says so, and what it was asked for. */
function fake(sentences: readonly number[]) {
	const log: string[] = [];
	const pending = new Map<string, () => void>();
	const signals: AbortSignal[] = [];
	const speaking: Speaking = {
		sampleRate: 1000,
		sentences: sentences.map((_, i) => ({
			text: `${i}`,
			phones: ["pau"],
			skipped: [],
		})),
		async say(_, index, signal) {
			log.push(`say ${index}`);
			signals.push(signal);
			return Array.from({ length: sentences[index] ?? 0 }, (_, k) => {
				const name = `${index}.${k}`;
				return () => {
					log.push(name);
					return new Promise<Float32Array>((resolve) =>
						pending.set(name, () => resolve(Float32Array.of(index, k))),
					);
				};
			});
		},
	};
	const compute = (name: string) => pending.get(name)?.();
	return { speaking, log, compute, signals };
}

/** Lets everything happen that can happen without a computation ending. */
async function settle(): Promise<void> {
	for (let i = 0; i < 5; i++) await setImmediate();
}

test("two chunks are begun ahead of the listener and the next sentence is prepared, no more", async (t) => {
	const { speaking, log, compute } = fake([4, 1, 1]);
	const utterance = new Utterance(speaking, { pauseMs: 0, signal: undefined });
	const chunks = utterance[Symbol.asyncIterator]();
	await settle();
	t.deepEqual(log, [], "nothing before it is iterated");
	const first = chunks.next();
	await settle();
	t.deepEqual(log.toSorted(), ["0.0", "0.1", "say 0", "say 1"]);
	t.true(log.indexOf("0.0") < log.indexOf("say 1"), "the first sound first");
	compute("0.0");
	t.deepEqual([...(await first).value], [0, 0]);
	await settle();
	t.deepEqual(log.slice(4), ["0.2"]);
	compute("0.1");
	compute("0.2");
	await settle();
	t.is(log.length, 5, "a listener that takes nothing costs nothing more");
	t.deepEqual([...(await chunks.next()).value], [0, 1]);
	await settle();
	t.deepEqual(log.slice(5), ["0.3"]);
	t.deepEqual([...(await chunks.next()).value], [0, 2]);
	await settle();
	t.deepEqual(log.slice(6), ["1.0"]);
	compute("0.3");
	t.deepEqual([...(await chunks.next()).value], [0, 3]);
	await settle();
	t.deepEqual(log.slice(7), ["say 2", "2.0"], "while 1.0 is computed");
	await chunks.return?.();
});

test("a listener who leaves ends what was begun for him; so does the signal", async (t) => {
	for (const how of ["leaves", "aborts"]) {
		const stop = new AbortController();
		const { speaking, compute, signals } = fake([3]);
		const utterance = new Utterance(speaking, {
			pauseMs: 0,
			signal: stop.signal,
		});
		const chunks = utterance[Symbol.asyncIterator]();
		const first = chunks.next();
		await settle();
		compute("0.0");
		compute("0.1");
		await first;
		t.false(signals[0]?.aborted);
		if (how === "leaves") await chunks.return?.();
		else {
			stop.abort();
			// It is there already, and is not to be heard any more.
			await t.throwsAsync(chunks.next(), { code: "E_INTERRUPTED" });
		}
		t.true(signals[0]?.aborted);
		t.true((await chunks.next()).done);
	}
});

test("a failure shows where it belongs: behind what was computed before it", async (t) => {
	const { speaking, compute } = fake([1, 1]);
	const say = speaking.say;
	speaking.say = async (sentence, index, signal) => {
		if (index === 1) throw new Error("the second sentence is broken");
		return say(sentence, index, signal);
	};
	const utterance = new Utterance(speaking, {
		pauseMs: 100,
		signal: undefined,
	});
	const chunks = utterance[Symbol.asyncIterator]();
	const first = chunks.next();
	await settle();
	compute("0.0");
	t.is((await first).value.length, 2);
	await t.throwsAsync(chunks.next(), { message: /second/ });
	t.is(utterance.stats.sentences, 1);
});

test("computing time counts the time in which anything was computed, once", async (t) => {
	const { speaking, compute } = fake([2]);
	const utterance = new Utterance(speaking, { pauseMs: 0, signal: undefined });
	const before = performance.now();
	const chunks = utterance[Symbol.asyncIterator]();
	const first = chunks.next();
	await settle();
	compute("0.0");
	compute("0.1");
	await first;
	await settle();
	const between = performance.now();
	// The listener takes its time; nothing is computed meanwhile.
	while (performance.now() < between + 50) await setImmediate();
	await chunks.next();
	t.true((await chunks.next()).done);
	const { computeMs, audioSeconds, realTimeFactor } = utterance.stats;
	t.true(computeMs > 0 && computeMs <= between - before, `${computeMs} ms`);
	t.is(audioSeconds, 4 / 1000);
	t.true((realTimeFactor ?? 0) > 0);
});
