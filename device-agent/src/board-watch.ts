import type { Clock } from "@wattvox/core";
import { type BoardFacts, hottest } from "@wattvox/energy";
import type { Reported } from "@wattvox/link";

/** What makes a look at the board worth a report: this much on the hottest zone, or of the GPU's load. */
const [DEGREES, LOAD] = [5, 0.25];
/** As the message has it. */
const [ZONES, TEXT] = [32, 64];

export interface BoardWatchOptions {
	read: () => BoardFacts;
	clock: Clock;
	/** Between two looks, ms. */
	everyMs: number;
	/** There is something to report. */
	onChange: () => void;
}

/**
 * What the board says of itself, as it is reported: looked at again and again, and taken over when a
 * fact changed, or temperature or load moved by much, so that a fleet is not told of every degree.
 */
export class BoardWatch {
	readonly #o: BoardWatchOptions;
	#taken: BoardFacts | undefined;
	#told: Reported["board"];
	#timer: NodeJS.Timeout | undefined;

	constructor(options: BoardWatchOptions) {
		this.#o = options;
	}

	/** Undefined where the board says nothing of itself, and before the {@link start}. */
	get told(): Reported["board"] {
		return this.#told;
	}

	start(): void {
		this.look();
		this.#timer ??= setInterval(() => this.look(), this.#o.everyMs);
		this.#timer.unref();
	}

	/** Idempotent. */
	stop(): void {
		clearInterval(this.#timer);
		this.#timer = undefined;
	}

	/** Looks at the board, and takes over what is worth a report. */
	look(): void {
		const facts = this.#o.read();
		if (this.#taken && !differs(this.#taken, facts)) return;
		this.#taken = facts;
		const at = new Date(this.#o.clock.wall()).toISOString();
		this.#told = says(facts) ? { ...bounded(facts), at } : undefined;
		this.#o.onChange();
	}
}

const says = ({ temperatures, ...facts }: BoardFacts): boolean =>
	Object.keys(temperatures).length > 0 ||
	Object.values(facts).some((fact) => fact !== null);

function differs(a: BoardFacts, b: BoardFacts): boolean {
	const still = ({ model, l4t, tensorrt, powerMode }: BoardFacts) =>
		JSON.stringify([model, l4t, tensorrt, powerMode]);
	return (
		still(a) !== still(b) ||
		moved(hottest(a), hottest(b), DEGREES) ||
		moved(a.gpuLoad, b.gpuLoad, LOAD)
	);
}

/** What is known now and was not before has moved, too. */
const moved = (a: number | null, b: number | null, by: number): boolean =>
	a === null || b === null ? a !== b : Math.abs(a - b) >= by;

function bounded(facts: BoardFacts): BoardFacts {
	const cut = (text: string | null, to = TEXT) => text?.slice(0, to) ?? null;
	return {
		model: cut(facts.model, 200),
		l4t: cut(facts.l4t),
		tensorrt: cut(facts.tensorrt),
		powerMode: cut(facts.powerMode),
		temperatures: Object.fromEntries(
			Object.entries(facts.temperatures)
				.slice(0, ZONES)
				.map(([zone, degrees]) => [zone.slice(0, TEXT), degrees]),
		),
		gpuLoad:
			facts.gpuLoad === null ? null : Math.min(1, Math.max(0, facts.gpuLoad)),
	};
}
