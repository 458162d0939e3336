import { type Clock, retry, WattvoxError } from "@wattvox/core";
import { z } from "zod";

/** How a provider reaches its service. */
export interface HttpOptions {
	/** The service's address, without a trailing slash; tests point it at their own server. */
	baseUrl: string;
	clock: Clock;
	/** Waits for one answer, milliseconds. Default 10 000. */
	timeoutMs?: number;
}

/** A refusal, with what the service said about coming back. */
class Refused extends WattvoxError {
	readonly status: number;
	readonly retryAfterMs: number | undefined;
	constructor(service: string, status: number, said: string, after?: number) {
		super("E_CARBON", `${service} answered ${status}${said && `: ${said}`}`);
		this.status = status;
		this.retryAfterMs = after;
	}
}

/**
 * GETs JSON of a shape. Network failures, 429 and 5xx are tried three times in all.
 * @param headers may hold secrets: nothing of them is ever in an error
 * @throws WattvoxError E_CARBON; the signal's reason
 */
export async function getJson<T>(
	service: string,
	path: string,
	shape: z.ZodType<T>,
	headers: Record<string, string>,
	o: HttpOptions,
	signal?: AbortSignal,
): Promise<T> {
	const once = async (): Promise<unknown> => {
		const limit = AbortSignal.timeout(o.timeoutMs ?? 10_000);
		let response: Response;
		try {
			response = await fetch(`${o.baseUrl}${path}`, {
				headers: { accept: "application/json", ...headers },
				signal: signal ? AbortSignal.any([signal, limit]) : limit,
			});
			if (response.ok) return await response.json();
		} catch (thrown) {
			signal?.throwIfAborted();
			const why = thrown instanceof SyntaxError ? "no JSON" : "no answer";
			throw new WattvoxError("E_CARBON", `${service}: ${why}`, {
				cause: thrown,
			});
		}
		const said = await response.json().then(problem, () => "");
		throw new Refused(service, response.status, said, wait(response, o.clock));
	};
	const answer = await retry(once, {
		limit: 3,
		clock: o.clock,
		...(signal && { signal }),
		retryable: (thrown) =>
			!(thrown instanceof Refused) ||
			thrown.status === 429 ||
			thrown.status >= 500,
	});
	const parsed = shape.safeParse(answer);
	if (parsed.success) return parsed.data;
	throw new WattvoxError(
		"E_CARBON",
		`${service} answered otherwise than documented: ${z.prettifyError(parsed.error)}`,
	);
}

/** What services put into their error bodies, cut to a line. */
function problem(body: unknown): string {
	const { error, message } = (body ?? {}) as Record<string, unknown>;
	const said =
		typeof error === "object"
			? (error as { message?: unknown })?.message
			: error;
	return String(said ?? message ?? "").slice(0, 200);
}

/** Retry-After in seconds or as a date, at most a minute: then another try is the next plan's. */
function wait(response: Response, clock: Clock): number | undefined {
	const header = response.headers.get("retry-after");
	if (!header) return undefined;
	const seconds = Number(header);
	const ms = Number.isFinite(seconds)
		? seconds * 1000
		: Date.parse(header) - clock.wall();
	return Number.isFinite(ms) ? Math.min(60_000, Math.max(0, ms)) : undefined;
}

/** Moments in order, each holding until the next, the last as long as the one before it. */
export function untilNext(
	points: readonly { at: number; value: number | null }[],
	usualMs: number,
) {
	const sorted = points
		.filter((p) => Number.isFinite(p.at))
		.toSorted((a, b) => a.at - b.at);
	return sorted.map(({ at, value }, i) => {
		const next = sorted[i + 1]?.at ?? at + usualMs;
		return { from: at, to: Math.min(next, at + 2 * usualMs), value };
	});
}
