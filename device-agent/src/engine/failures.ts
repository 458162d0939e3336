import { readFile } from "node:fs/promises";
import { zDigest } from "@wattvox/bundle";
import { ERRORS, type ErrorCode, writeAtomic } from "@wattvox/core";
import { z } from "zod";

const zFailures = z.object({
	v: z.literal(1),
	failures: z
		.array(
			z.object({
				engine: zDigest,
				/** The bundle whose voice it was for. */
				voice: zDigest,
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

/** Engines that did not come to speak for a voice, in one file; the newest first. */
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
		} catch {
			return [];
		}
	}

	async find(
		engine: string,
		voice: string,
	): Promise<EngineFailure | undefined> {
		const all = await this.list();
		return all.find((f) => f.engine === engine && f.voice === voice);
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async add(failure: EngineFailure): Promise<void> {
		const others = await this.#othersThan(failure.engine, failure.voice);
		await this.#write([failure, ...others].slice(0, MOST));
	}

	/** Lets it be tried again. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async forgive(engine: string, voice: string): Promise<void> {
		const others = await this.#othersThan(engine, voice);
		if (others.length < (await this.list()).length) await this.#write(others);
	}

	async #othersThan(engine: string, voice: string): Promise<EngineFailure[]> {
		return (await this.list()).filter(
			(f) => f.engine !== engine || f.voice !== voice,
		);
	}

	async #write(failures: EngineFailure[]): Promise<void> {
		await writeAtomic(this.#path, `${JSON.stringify({ v: 1, failures })}\n`);
	}
}
