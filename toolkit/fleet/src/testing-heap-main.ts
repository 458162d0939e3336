/**
 * A process whose heap the test of `ServingHeap` watches: much begins to live at once, then garbage passes.
 * It prints the bytes that gathered at most beside what lives, and how often they were collected on request.
 *
 * argv: the headroom in bytes; 0 leaves the heap to V8.
 */
import { setImmediate } from "node:timers/promises";
import { ServingHeap } from "./serving-heap.ts";

const LIVE = 120e6;
const PASSING = 600e6;
/** Of one piece, some: young long enough to become old. */
const PIECE = 1e6;
const AT_ONCE = 30;

const headroom = Number(process.argv[2]);
const heap = new ServingHeap(headroom || undefined);
if (headroom > 0) heap.start();
const piece = () => Array.from({ length: PIECE / 64 }, (_, i) => [i]);
const kept: unknown[] = [];
const used = () => process.memoryUsage().heapUsed;
const begin = used();
while (used() - begin < LIVE) kept.push(piece());
heap.look();
const live = used();
let most = 0;
for (let passed = 0, ring: unknown[] = []; passed < PASSING; passed += PIECE) {
	ring = [...ring.slice(1 - AT_ONCE), piece()];
	await setImmediate();
	heap.look();
	most = Math.max(most, used() - live);
}
process.stdout.write(
	JSON.stringify({
		most,
		collected: heap.counters.collected,
		kept: kept.length,
	}),
);
