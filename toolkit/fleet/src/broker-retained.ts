import type { FileHandle } from "node:fs/promises";
import { mkdir, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { outputError, writeAtomic } from "@wattvox/core";

/** A retained message. */
export interface Retained {
	topic: string;
	payload: Buffer;
	qos: 0 | 1;
}

/** The log is written anew when it has this many times the bytes of what is still retained. */
const SLACK = 4;
const SMALL_BYTES = 1 << 20;

/**
 * Retained messages on disk: one log of lines, each with its checksum.
 *
 * INVARIANTS
 * - `keep` resolves when the message is on disk; messages that arrive meanwhile share one fsync.
 * - A line that a power cut tore is left out; every line before it counts.
 * - The log is replaced whole when it is rewritten.
 */
export class RetainedStore {
	readonly #path: string;
	readonly #dir: string;
	readonly #live = new Map<string, string>();
	#liveBytes = 0;
	#logBytes = 0;
	#log: FileHandle | undefined;
	#waiting: {
		line: string;
		resolve: () => void;
		reject: (e: unknown) => void;
	}[] = [];
	#writing: Promise<void> | undefined;

	constructor(dir: string) {
		this.#dir = dir;
		this.#path = join(dir, "retained.log");
	}

	/** Opens the log. @returns what is retained @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async open(): Promise<Retained[]> {
		const found: Retained[] = [];
		const text = await readFile(this.#path, "utf8").catch(() => "");
		for (const line of text.split("\n")) {
			const message = parseLine(line);
			if (message) this.#remember(message.topic, line, message.payload);
		}
		try {
			await mkdir(this.#dir, { recursive: true });
			await this.#rewrite();
		} catch (thrown) {
			throw outputError(this.#path, thrown);
		}
		for (const line of this.#live.values()) {
			const message = parseLine(line);
			if (message) found.push(message);
		}
		return found;
	}

	/**
	 * Keeps a message; an empty payload takes the retained one back.
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL
	 */
	keep({ topic, payload, qos }: Retained): Promise<void> {
		const body = JSON.stringify([topic, qos, payload.toString("base64")]);
		const line = `${checksum(body)} ${body}`;
		this.#remember(topic, line, payload);
		return new Promise((resolve, reject) => {
			this.#waiting.push({ line, resolve, reject });
			this.#writing ??= this.#write();
		});
	}

	/** Ends when everything is on disk. Idempotent. */
	async close(): Promise<void> {
		await this.#writing;
		const log = this.#log;
		this.#log = undefined;
		await log?.close();
	}

	#remember(topic: string, line: string, payload: Buffer): void {
		const old = this.#live.get(topic);
		if (old !== undefined) this.#liveBytes -= Buffer.byteLength(old) + 1;
		this.#live.delete(topic);
		if (payload.byteLength === 0) return;
		this.#live.set(topic, line);
		this.#liveBytes += Buffer.byteLength(line) + 1;
	}

	/** Writes what waits, batch after batch. */
	async #write(): Promise<void> {
		while (this.#waiting.length > 0) {
			const batch = this.#waiting.splice(0);
			try {
				const text = batch.map((w) => `${w.line}\n`).join("");
				await this.#log?.appendFile(text);
				await this.#log?.datasync();
				this.#logBytes += Buffer.byteLength(text);
				if (this.#logBytes > SMALL_BYTES + SLACK * this.#liveBytes)
					await this.#rewrite();
				for (const { resolve } of batch) resolve();
			} catch (thrown) {
				const error = outputError(this.#path, thrown);
				for (const { reject } of batch) reject(error);
			}
		}
		// here and not in a finally: who asks between the last look and that would wait for ever
		this.#writing = undefined;
	}

	async #rewrite(): Promise<void> {
		const text = [...this.#live.values()].map((line) => `${line}\n`).join("");
		await writeAtomic(this.#path, text);
		await this.#log?.close();
		this.#log = await open(this.#path, "a");
		this.#logBytes = Buffer.byteLength(text);
	}
}

function checksum(body: string): string {
	return crc32(body).toString(16).padStart(8, "0");
}

function parseLine(line: string): Retained | undefined {
	const body = line.slice(9);
	if (line.slice(0, 8) !== checksum(body)) return undefined;
	try {
		const [topic, qos, payload] = JSON.parse(body) as [string, 0 | 1, string];
		return { topic, qos, payload: Buffer.from(payload, "base64") };
	} catch {
		return undefined;
	}
}
