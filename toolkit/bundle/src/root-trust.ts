import type { KeyObject } from "node:crypto";
import { WattvoxError } from "@wattvox/core";
import type { Trust } from "./keys.ts";
import {
	parseRootFile,
	ROLE_OF,
	type Root,
	rootFileBytes,
	rootKey,
	type SignedRoot,
	verifyRoot,
} from "./root.ts";
import type { Purpose } from "./signature.ts";

/**
 * Trust that follows a chain of roots, in the manner of The Update Framework
 * (https://theupdateframework.github.io/specification/latest/#update-root).
 *
 * INVARIANTS
 * - The first root is the one it was opened with; each later one was signed by a threshold of the
 *   keys of the one before it and by a threshold of its own.
 * - The version only rises, one by one.
 * - A key signs for its role alone, and only while the newest root lists it.
 */
export class RootTrust implements Trust {
	#chain: SignedRoot[];
	#root: Root;
	#keys = new Map<string, KeyObject | undefined>();

	private constructor(chain: SignedRoot[], root: Root) {
		this.#chain = chain;
		this.#root = root;
	}

	/**
	 * Trusts the first root of a file, and those after it as far as they follow.
	 * @throws WattvoxError E_FILE_FORMAT, E_SIGNATURE
	 */
	static open(file: Uint8Array): RootTrust {
		const [first, ...rest] = parseRootFile(file);
		if (!first) throw new WattvoxError("E_FILE_FORMAT", "no root is there");
		const trust = new RootTrust([first], verifyRoot(first, undefined));
		for (const next of rest) trust.#append(next);
		return trust;
	}

	/** What is believed now. */
	get root(): Root {
		return this.#root;
	}

	get expires(): number {
		return Date.parse(this.#root.expires);
	}

	/** The chain, as the bytes of a root file. */
	get bytes(): Buffer {
		return rootFileBytes(this.#chain);
	}

	find(id: string, purpose: Purpose): KeyObject | undefined {
		const role = ROLE_OF[purpose];
		const { roles } = this.#root;
		const ids = role === "root" ? roles.root.keys : roles[role];
		if (!ids.includes(id)) return undefined;
		if (!this.#keys.has(id)) this.#keys.set(id, rootKey(this.#root, id)?.key);
		return this.#keys.get(id);
	}

	/**
	 * Follows the roots in `file` that are newer than the newest. An expired root is followed too: the
	 * one after it may not be, and what is believed last decides.
	 * @returns whether anything was new
	 * @throws WattvoxError E_FILE_FORMAT; E_SIGNATURE (a root does not follow; those before it count)
	 */
	update(file: Uint8Array): boolean {
		const before = this.#root.version;
		for (const next of parseRootFile(file)) {
			// older ones are skipped unread but for their number: they were followed, or are too old
			if (versionOf(next) > this.#root.version) this.#append(next);
		}
		return this.#root.version > before;
	}

	#append(next: SignedRoot): void {
		this.#root = verifyRoot(next, this.#root);
		this.#chain = [...this.#chain, next];
		this.#keys = new Map();
	}
}

/** The number a root claims, for choosing what to verify; nothing else is read before that. */
function versionOf({ signed }: SignedRoot): number {
	const found = /"version":(\d{1,15})[,}]/.exec(signed);
	return found ? Number(found[1]) : Number.POSITIVE_INFINITY;
}
