import { EventEmitter } from "node:events";
import test from "ava";
import { abandonable, catchInterrupts } from "./abort.ts";

class Target extends EventEmitter {
	readonly pid = 7;
	killed: [number, string, number][] = [];
	kill(pid: number, signal: string) {
		this.killed.push([pid, signal, this.listenerCount("SIGINT")]);
	}
}

test("the first Ctrl-C aborts, the second is left to the system", (t) => {
	const target = new Target();
	let told = 0;
	const { signal, stop } = catchInterrupts(() => told++, target);
	target.emit("SIGINT");
	t.true(signal.aborted);
	t.like(signal.reason, { code: "E_INTERRUPTED", exit: 130 });
	t.deepEqual(target.killed, []);
	target.on("SIGINT", () => undefined);
	target.emit("SIGINT");
	t.deepEqual(target.killed, [[7, "SIGINT", 0]]);
	t.is(told, 1);
	stop();
	stop();
	t.is(target.listenerCount("SIGINT") + target.listenerCount("SIGTERM"), 0);
});

test("SIGTERM aborts as well", (t) => {
	const target = new Target();
	const { signal } = catchInterrupts(undefined, target);
	target.emit("SIGTERM");
	t.true(signal.aborted);
});

test("an abandonable promise gives its value, its failure, or the abort's reason", async (t) => {
	const live = new AbortController();
	t.is(await abandonable(Promise.resolve(3), live.signal), 3);
	t.is(await abandonable(Promise.resolve(4)), 4);
	await t.throwsAsync(
		abandonable(Promise.reject(new Error("own")), live.signal),
		{ message: "own" },
	);
	const never = new Promise<number>(() => undefined);
	const pending = abandonable(never, live.signal);
	const reason = new Error("stop");
	live.abort(reason);
	t.is(await t.throwsAsync(pending), reason);
	// a later failure of what was abandoned must not surface as an unhandled rejection
	t.is(
		await t.throwsAsync(
			abandonable(Promise.reject(new Error("late")), live.signal),
		),
		reason,
	);
});
