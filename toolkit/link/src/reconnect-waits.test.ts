import test from "ava";
import { ReconnectWaits } from "./reconnect-waits.ts";

/** Real timers: a connection that stands does so for `ms.base` at least. */
const standing = (ms: number) =>
	new Promise<void>((resolve) => setTimeout(resolve, ms));

test("a connection that ends at once is followed by ever longer waits, one that stands by short ones", async (t) => {
	const told: number[] = [];
	const waits = new ReconnectWaits({
		ms: { base: 1, max: 64 },
		random: () => 1,
		onWait: (ms) => told.push(ms),
	});
	t.is(waits.first, 2);
	for (let n = 0; n < 8; n++) {
		waits.connected();
		waits.ended();
	}
	t.deepEqual(told, [3, 5, 9, 17, 33, 65, 65, 65]);
	waits.connected();
	// timers that are due later ring later, however late both are
	await standing(65);
	t.deepEqual(told.slice(8), [2]);
	waits.ended();
	t.is(told.at(-1), 3);
});
