import { readFile } from "node:fs/promises";
import { zDigest } from "@wattvox/bundle";
import {
	ERRORS,
	type ErrorCode,
	unlessShortage,
	writeAtomic,
} from "@wattvox/core";
import { z } from "zod";

const zFailures = z.object({
	v: z.literal(1),
	failures: z
		.array(
			z.object({
				engine: zDigest,
				/** The bundle whose voice it was for. */
				voice: zDigest,
				/** SHA-256 of the engine's bytes, where another device built them; absent: this one's own. */
				plan: zDigest.optional(),
				code: z
					.string()
					.refine((c): c is ErrorCode => Object.hasOwn(ERRORS, c)),
				message: z.string(),
				/** What each child process was allowed, bytes. */
				memoryBytes: z.number().optional(),
			}),
		)
		.max(1000),
});
export type EngineFailure = z.infer<typeof zFailures>["failures"][number];

/** Failures remembered. */
const MOST = 64;

/**
 * Engines that did not come to speak for a voice, in one file; the newest first. What this device could not
 * build would only fail again; of what came from elsewhere other bytes may hold.
 */
export class Failures {
	readonly #path: string;

	constructor(path: string) {
		this.#path = path;
	}

	/** A file that cannot be read is none. */
	async list(): Promise<EngineFailure[]> {
		try {
			const text = await readFile(this.#path, "utf8");
			return zFailures.parse(JSON.parse(text)).failures;
		} catch (thrown) {
			unlessShortage(thrown);
			return [];
		}
	}

	/** That of this device's own. */
	async find(
		engine: string,
		voice: string,
	): Promise<EngineFailure | undefined> {
		return (await this.#of(engine, voice)).find((f) => f.plan === undefined);
	}

	/** Those of what came from elsewhere. */
	async foreign(
		engine: string,
		voice: string,
	): Promise<(EngineFailure & { plan: string })[]> {
		const all = await this.#of(engine, voice);
		return all.flatMap(({ plan, ...f }) =>
			plan === undefined ? [] : [{ ...f, plan }],
		);
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async add(failure: EngineFailure): Promise<void> {
		const { engine, voice, plan } = failure;
		const others = await this.#without(engine, voice, [plan]);
		await this.#write([failure, ...others].slice(0, MOST));
	}

	/**
	 * Lets this device's own be tried again.
	 * @param plan and these bytes, which hold now
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	async forgive(engine: string, voice: string, plan?: string): Promise<void> {
		const others = await this.#without(engine, voice, [undefined, plan]);
		if (others.length < (await this.list()).length) await this.#write(others);
	}

	async #of(engine: string, voice: string): Promise<EngineFailure[]> {
		const all = await this.list();
		return all.filter((f) => f.engine === engine && f.voice === voice);
	}

	async #without(
		engine: string,
		voice: string,
		plans: readonly (string | undefined)[],
	): Promise<EngineFailure[]> {
		return (await this.list()).filter(
			(f) =>
				f.engine !== engine || f.voice !== voice || !plans.includes(f.plan),
		);
	}

	async #write(failures: EngineFailure[]): Promise<void> {
		await writeAtomic(this.#path, `${JSON.stringify({ v: 1, failures })}\n`);
	}
}
