import { constants, PerformanceObserver } from "node:perf_hooks";
import {
	getHeapSpaceStatistics,
	getHeapStatistics,
	setFlagsFromString,
} from "node:v8";
import { runInNewContext } from "node:vm";

/** Bytes that may gather beside what lives before the heap is marked. */
const HEADROOM = 88e6;
/** V8 marks in steps and ends a little late: how much of the headroom later is too late. */
const LATE = 0.5;
/** How often it is looked at, milliseconds. */
const EVERY_MS = 1000;
/** Of the flag: a marking is worth a tenth at least, and a small heap may grow to five times what lives. */
const [LEAST_PERCENT, MOST_PERCENT] = [10, 400];

/**
 * Gives a serving process's heap a headroom in bytes: so much may gather in it, whatever lives there,
 * before V8 marks all of it again.
 *
 * V8 takes a share of what lives. Of a store's 22 MB of objects that is little, and as the bytes of
 * Buffers count against it, a process through which blocks flow marked its heap for every 23 MB, which
 * took half of its processor time. Of the 100 MB of a broker with 10,000 connections it is more than
 * 200 MB of garbage. So the share is set anew after each marking. One that was set while less lived is
 * too large: where the heap passes its headroom nevertheless, it is collected at once.
 *
 * It acts on the whole process. For programs that serve; not for a device.
 */
export class ServingHeap {
	/** What lived after the last marking, bytes, and how many were asked for here. */
	readonly counters = { live: 0, collected: 0 };
	readonly #headroom: number;
	#collect: () => void = () => undefined;
	#observer: PerformanceObserver | undefined;
	#timer: NodeJS.Timeout | undefined;

	/** @param headroom bytes */
	constructor(headroom = HEADROOM) {
		this.#headroom = headroom;
	}

	/** Begins to look. */
	start(): void {
		if (this.#observer) return;
		setFlagsFromString("--expose-gc");
		this.#collect = runInNewContext("gc");
		this.#observer = new PerformanceObserver((list) => {
			if (list.getEntries().some(marked)) this.#settle();
		});
		this.#observer.observe({ entryTypes: ["gc"] });
		this.#timer = setInterval(() => this.look(), EVERY_MS).unref();
		this.#settle();
	}

	/** Leaves the heap to V8 again, from the next marking on. Idempotent. */
	stop(): void {
		if (!this.#observer) return;
		this.#observer.disconnect();
		clearInterval(this.#timer);
		this.#observer = undefined;
		setFlagsFromString("--heap-growing-percent=0");
	}

	/** Collects when more has gathered than may. */
	look(): void {
		if (!this.#observer) return;
		const held = oldBytes();
		const most = this.counters.live + this.#headroom * (1 + LATE);
		if (held <= most) return;
		// the share of the marking that comes: of no more than all that is there
		this.#share(held);
		this.#collect();
		this.counters.collected++;
		this.#settle();
	}

	/** After a marking: what is left lives. */
	#settle(): void {
		this.counters.live = oldBytes();
		this.#share(this.counters.live);
	}

	#share(live: number): void {
		const percent = Math.round((100 * this.#headroom) / live);
		const within = Math.min(MOST_PERCENT, Math.max(LEAST_PERCENT, percent));
		setFlagsFromString(`--heap-growing-percent=${within}`);
	}
}

function marked(entry: object): boolean {
	// Node's types leave it out
	const { detail } = entry as { detail?: { kind?: number } };
	return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}

/** Bytes of the heap but for its young generation, and of Buffers. */
function oldBytes(): number {
	const { used_heap_size, external_memory } = getHeapStatistics();
	const young = getHeapSpaceStatistics()
		.filter(({ space_name }) => space_name.startsWith("new_"))
		.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
	return used_heap_size - young + external_memory;
}
