import { type Clock, retry } from "@wattvox/core";
import {
	refusalOf,
	requestFields,
	type TeacherSettings,
	teacherUrl,
} from "./shapes.ts";
import { soundOf } from "./sound.ts";
import { TeacherError } from "./teacher-error.ts";

/** How a teacher is reached. */
export interface TeacherClientOptions {
	/** Bearer token; never in a message. */
	key?: string;
	/** Limit of one answer, milliseconds. Default 60 000. */
	timeoutMs?: number;
	/** Attempts at one sentence. Default 5. */
	attempts?: number;
	/** Ceiling of the first wait between two attempts, milliseconds; it doubles. Default 500. */
	baseMs?: number;
	clock?: Clock;
	/** Told of each attempt that failed and will be made again. */
	onRetry?: (why: string, waitMs: number) => void;
}

/** Longest answer that is read: ten minutes at 96 kHz, 16 bits, stereo. */
const MOST_BYTES = 240e6;

/** A speech server that speaks one sentence after the other. */
export class TeacherClient {
	readonly #settings: TeacherSettings;
	readonly #o: TeacherClientOptions;
	/** GPT-SoVITS answers to both; a server that knows GET alone says 405 to the first POST. */
	#method: "POST" | "GET" = "POST";

	/** @throws WattvoxError E_USAGE for an address that is none */
	constructor(settings: TeacherSettings, options: TeacherClientOptions = {}) {
		teacherUrl(settings.url);
		this.#settings = settings;
		this.#o = options;
	}

	/**
	 * Has a sentence spoken. No connection, no answer in time, 408, 409, 425, 429, 5xx and answers that
	 * hold no sound are tried again with growing waits, or after what the server asks for.
	 * @returns a wav file as the server gave it
	 * @throws TeacherError E_TEACHER with the server's own words; the signal's reason
	 */
	async say(text: string, signal?: AbortSignal): Promise<Uint8Array> {
		const { attempts = 5, baseMs = 500, clock, onRetry } = this.#o;
		return retry(() => this.#once(text, signal), {
			limit: attempts,
			baseMs,
			maxMs: 30_000,
			...(clock && { clock }),
			...(signal && { signal }),
			retryable: (thrown) => thrown instanceof TeacherError && thrown.passing,
			onRetry: (thrown, _, wait) => onRetry?.((thrown as Error).message, wait),
		});
	}

	async #once(text: string, signal?: AbortSignal): Promise<Uint8Array> {
		const { timeoutMs = 60_000 } = this.#o;
		const limit = AbortSignal.timeout(timeoutMs);
		const both = signal ? AbortSignal.any([signal, limit]) : limit;
		let response: Response;
		let bytes: Uint8Array;
		try {
			response = await this.#ask(text, both);
			if (
				response.status === 405 &&
				this.#method === "POST" &&
				this.#settings.api !== "openai"
			) {
				await response.body?.cancel();
				this.#method = "GET";
				response = await this.#ask(text, both);
			}
			bytes = await readAtMost(response, MOST_BYTES);
		} catch (cause) {
			signal?.throwIfAborted();
			if (cause instanceof TeacherError) throw cause;
			throw new TeacherError(
				"unreachable",
				limit.aborted
					? `the teacher gave no answer within ${timeoutMs / 1000} s`
					: `no connection to the teacher: ${reason(cause)}`,
				{ cause },
			);
		}
		if (response.ok) {
			soundOf(bytes);
			return bytes;
		}
		const said = refusalOf(Buffer.from(bytes).toString("utf8"));
		throw new TeacherError(
			"refused",
			`the teacher answered ${response.status}${said && `: ${said}`}${this.#hint(response.status, said)}`,
			{
				status: response.status,
				...retryAfter(response.headers.get("retry-after")),
			},
		);
	}

	#ask(text: string, signal: AbortSignal): Promise<Response> {
		const fields = requestFields(this.#settings, text);
		const url = new URL(this.#settings.url);
		const headers: Record<string, string> = { accept: "audio/wav, */*" };
		if (this.#o.key !== undefined)
			headers.authorization = `Bearer ${this.#o.key}`;
		if (this.#method === "GET") {
			for (const [name, value] of Object.entries(fields))
				for (const one of Array.isArray(value) ? value : [value])
					url.searchParams.append(name, String(one));
			return fetch(url, { headers, signal });
		}
		headers["content-type"] = "application/json";
		return fetch(url, {
			method: "POST",
			headers,
			body: JSON.stringify(fields),
			signal,
		});
	}

	/** What a user can do about a refusal that this side knows more of. */
	#hint(status: number, said: string): string {
		const { api, reference } = this.#settings;
		if (status === 404 && api !== "openai")
			return " (GPT-SoVITS's api_v2.py answers at /tts, its api.py at /)";
		if ((status === 401 || status === 403) && this.#o.key === undefined)
			return " (no key was sent: set WATTVOX_TEACHER_KEY)";
		if (reference === undefined && /ref(er)?_(audio|wav)/.test(said))
			return " (give --teacher-reference, a recording's path as the server sees it)";
		return "";
	}
}

/** What lies below fetch's "fetch failed". */
function reason(thrown: unknown): string {
	const cause = (thrown as Error).cause ?? thrown;
	const { code, message } = cause as NodeJS.ErrnoException;
	return code === "ECONNREFUSED" ? "refused (is its server running?)" : message;
}

/** Retry-After in seconds, at most five minutes; a date is as good as nothing said. */
function retryAfter(header: string | null): { retryAfterMs?: number } {
	const seconds = header === null ? Number.NaN : Number(header);
	return seconds >= 0 ? { retryAfterMs: 1000 * Math.min(300, seconds) } : {};
}

async function readAtMost(r: Response, most: number): Promise<Uint8Array> {
	const parts: Uint8Array[] = [];
	let size = 0;
	for await (const part of r.body ?? []) {
		size += part.length;
		// Leaving the loop closes the connection.
		if (size > most)
			throw new TeacherError(
				"garbage",
				`the teacher's answer is longer than ${most / 1e6} MB`,
			);
		parts.push(part);
	}
	return Buffer.concat(parts);
}
