import { openSync, readFileSync, writeSync } from "node:fs";
import type { Again } from "@wattvox/link";

/** What a device does, in its order, or what was done to it. */
export type DeviceEvent =
	/** Its process began. */
	| { is: "start" }
	/** It wishes for this bundle from now on; null: one or the other, a moment later it is clear. */
	| { is: "wish"; bundle: string | null }
	/** It asks for blocks. */
	| { is: "ask"; pull: string; kind: string; file: string; blocks: number[] }
	/** It says that it will ask again. */
	| ({ is: "again" } & Again)
	/** Blocks are on its disk. */
	| { is: "kept"; file: string; blocks: number[] }
	/** It is about to remove a file, or a part of one. */
	| { is: "gone"; file: string }
	/** Somebody turned a bit of a block on its disk. */
	| { is: "rot"; file: string; block: number };

/** What a store sends. */
export interface StoreEvent {
	is: "sent";
	kind: string;
	file: string;
	block: number;
	/** Of the block. */
	bytes: number;
	/** It was damaged on purpose. */
	damaged: boolean;
	/** It was no block but the word that it cannot be had now. */
	refused: boolean;
}

/**
 * Events in a file, in their order. Each is in the kernel when `write` returns, so `kill -9` loses none, and
 * several processes may write to one.
 */
export class Journal<Event> {
	readonly path: string;
	#file: number | undefined;

	constructor(path: string) {
		this.path = path;
	}

	write(event: Event): void {
		this.#file ??= openSync(this.path, "a");
		writeSync(this.#file, `${JSON.stringify(event)}\n`);
	}

	/** All that was written so far. */
	read(): Event[] {
		let text = "";
		try {
			text = readFileSync(this.path, "utf8");
		} catch {
			// nobody wrote yet
		}
		return text
			.split("\n")
			.filter(Boolean)
			.map((line) => JSON.parse(line) as Event);
	}
}
