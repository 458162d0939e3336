import {
	createHash,
	randomBytes,
	type ScryptOptions,
	scrypt,
	timingSafeEqual,
} from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import { z } from "zod";

const derive = promisify(scrypt) as (
	password: string,
	salt: Buffer,
	length: number,
	options: ScryptOptions,
) => Promise<Buffer>;

/** What is kept of a password. */
export const zPasswordHash = z.object({
	v: z.literal(1),
	salt: z.string(),
	hash: z.string(),
	/** scrypt's cost, block size and parallelism. */
	N: z.int(),
	r: z.int(),
	p: z.int(),
});
export type PasswordHash = z.infer<typeof zPasswordHash>;

/** OWASP: N = 2^14, r = 8, p = 5 is one of the least strong settings worth having (16 MiB). */
const COST = { N: 2 ** 14, r: 8, p: 5 };

/**
 * @param cost of scrypt
 * @returns what to keep of `password`
 */
export async function hashPassword(
	password: string,
	cost = COST,
): Promise<PasswordHash> {
	const salt = randomBytes(16);
	const hash = await derive(password, salt, 32, cost);
	return {
		v: 1,
		salt: salt.toString("base64"),
		hash: hash.toString("base64"),
		...cost,
	};
}

/** Whether `password` is the one; takes as long either way. */
export async function checkPassword(
	password: string,
	{ salt, hash, N, r, p }: PasswordHash,
): Promise<boolean> {
	const known = Buffer.from(hash, "base64");
	const given = await derive(
		password,
		Buffer.from(salt, "base64"),
		known.byteLength,
		{ N, r, p },
	);
	return timingSafeEqual(given, known);
}

/** A password that nobody has to invent: 100 bits. */
export function newPassword(): string {
	const letters = "abcdefghjkmnpqrstuvwxyz23456789";
	const bytes = randomBytes(20);
	return [...bytes]
		.map((b) => letters[b % letters.length])
		.join("")
		.replace(/(.{5})(?=.)/g, "$1-");
}

/**
 * The password's hash from its file; a new password where there is none.
 * @returns `fresh`: the new password, to be shown once
 * @throws WattvoxError E_FILE_FORMAT, E_OUTPUT
 */
export async function passwordFile(
	path: string,
	renew = false,
): Promise<{ hash: PasswordHash; fresh?: string }> {
	let text: string | undefined;
	try {
		text = renew ? undefined : await readFile(path, "utf8");
	} catch (thrown) {
		if ((thrown as NodeJS.ErrnoException).code !== "ENOENT") throw thrown;
	}
	if (text !== undefined)
		try {
			return { hash: zPasswordHash.parse(JSON.parse(text)) };
		} catch (cause) {
			throw new WattvoxError("E_FILE_FORMAT", `${path} holds no password`, {
				cause,
			});
		}
	const fresh = newPassword();
	const hash = await hashPassword(fresh);
	await writeAtomic(path, JSON.stringify(hash), 0o600);
	return { hash, fresh };
}

/** Who is logged in: random tokens, of which only hashes are kept. */
export class Sessions {
	readonly #until = new Map<string, number>();
	readonly #lifeMs: number;
	readonly #now: () => number;

	constructor(lifeMs = 12 * 3_600_000, now: () => number = Date.now) {
		this.#lifeMs = lifeMs;
		this.#now = now;
	}

	/** @returns the new session's token */
	open(): string {
		for (const [key, until] of this.#until)
			if (until <= this.#now()) this.#until.delete(key);
		// somebody who knows the password opened them all: the oldest may go
		if (this.#until.size >= 1000)
			this.#until.delete(this.#until.keys().next().value ?? "");
		const token = randomBytes(32).toString("base64url");
		this.#until.set(digest(token), this.#now() + this.#lifeMs);
		return token;
	}

	valid(token: string | undefined): boolean {
		const until = token && this.#until.get(digest(token));
		return typeof until === "number" && until > this.#now();
	}

	close(token: string | undefined): void {
		if (token) this.#until.delete(digest(token));
	}
}

/** Holds back who guesses: so many failures per address and overall in a minute. */
export class LoginLimit {
	readonly #failures: { from: string; at: number }[] = [];
	readonly #now: () => number;
	readonly #each: number;
	readonly #all: number;

	constructor(each = 5, all = 30, now: () => number = Date.now) {
		this.#each = each;
		this.#all = all;
		this.#now = now;
	}

	/** Seconds to wait; 0: go ahead. */
	wait(from: string): number {
		const since = this.#now() - 60_000;
		while ((this.#failures[0]?.at ?? since + 1) <= since)
			this.#failures.shift();
		const mine = this.#failures.filter((f) => f.from === from);
		const held =
			mine.length >= this.#each
				? mine
				: this.#failures.length >= this.#all
					? this.#failures
					: [];
		const first = held[0];
		return first ? Math.ceil((first.at - since) / 1000) : 0;
	}

	/** Counts a try before it is judged, so that many at once do not slip through. @returns takes it back */
	tried(from: string): () => void {
		const failure = { from, at: this.#now() };
		this.#failures.push(failure);
		return () => {
			const at = this.#failures.indexOf(failure);
			if (at >= 0) this.#failures.splice(at, 1);
		};
	}
}

/** Whether two secrets are the same, in the same time whatever they are. */
export function sameSecret(a: string, b: string): boolean {
	return timingSafeEqual(
		createHash("sha256").update(a).digest(),
		createHash("sha256").update(b).digest(),
	);
}

function digest(token: string): string {
	return createHash("sha256").update(token).digest("base64");
}
