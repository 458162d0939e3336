import { join } from "node:path";
import {
	asWattvoxError,
	redactText,
	retry,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import { type ScheduledTask, schedule, validate } from "node-cron";
import type { PowerStore } from "../power/store.ts";
import { type PowerTable, powerTable, three } from "../power-table.ts";

export interface DailyReportOptions {
	store: Pick<PowerStore, "usage">;
	/** Folder of the HTML files, one per day. */
	dir: string;
	/** When, in node-cron's syntax, UTC. Default: 05:00. */
	cron?: string;
	/** POST the figures here as JSON too. */
	webhook?: string;
	fleet?: string;
	onError?: (error: WattvoxError) => void;
	now?: () => number;
}

/** A finished day's bill. */
export interface DailyReport {
	/** YYYY-MM-DD, UTC. */
	day: string;
	byDevice: PowerTable;
	byVoice: PowerTable;
	byClass: PowerTable;
}

const DAY = 86_400_000;

/** Writes yesterday's bill every day. */
export class DailyReporter {
	readonly #o: DailyReportOptions;
	#task: ScheduledTask | undefined;

	constructor(options: DailyReportOptions) {
		this.#o = options;
	}

	/** @throws WattvoxError E_USAGE (not a schedule, not an http address) */
	start(): void {
		if (this.#task) return;
		const { cron = "0 5 * * *", webhook, onError } = this.#o;
		if (!validate(cron))
			throw new WattvoxError("E_USAGE", `"${cron}" is no schedule`);
		if (webhook !== undefined && !/^https?:$/.test(protocol(webhook)))
			throw new WattvoxError("E_USAGE", "the webhook is no http address");
		this.#task = schedule(
			cron,
			async () => {
				try {
					await this.write();
				} catch (thrown) {
					onError?.(asWattvoxError(thrown));
				}
			},
			{ timezone: "Etc/UTC", name: "daily report" },
		);
	}

	/** Idempotent. */
	async stop(): Promise<void> {
		await this.#task?.destroy();
		this.#task = undefined;
	}

	/**
	 * Writes the report of the day before, and tells the webhook.
	 * @returns the file's path
	 * @throws WattvoxError E_STORE, E_OUTPUT; E_TIMEOUT (the webhook; the file is written then)
	 */
	async write(): Promise<string> {
		const { store, dir, webhook, fleet, now = Date.now } = this.#o;
		const until = now() - (now() % DAY);
		const span = {
			...{ since: until - DAY, until },
			...(fleet !== undefined && { fleet }),
		};
		const report: DailyReport = {
			day: new Date(span.since).toISOString().slice(0, 10),
			byDevice: await powerTable(store, { ...span, by: "device" }),
			byVoice: await powerTable(store, { ...span, by: "voice" }),
			byClass: await powerTable(store, { ...span, by: "class" }),
		};
		const path = join(dir, `${report.day}.html`);
		await writeAtomic(path, reportHtml(report));
		if (webhook !== undefined) await tell(webhook, report);
		return path;
	}
}

async function tell(webhook: string, report: DailyReport): Promise<void> {
	try {
		await retry(
			async () => {
				const response = await fetch(webhook, {
					method: "POST",
					headers: { "content-type": "application/json" },
					body: JSON.stringify(report),
					redirect: "error",
					signal: AbortSignal.timeout(10_000),
				});
				await response.body?.cancel();
				if (!response.ok) throw new Error(`it said ${response.status}`);
			},
			{ limit: 3, baseMs: 500 },
		);
	} catch (cause) {
		const { origin } = new URL(webhook);
		throw new WattvoxError(
			"E_TIMEOUT",
			`the webhook at ${origin} did not take the report: ${redactText(asWattvoxError(cause).message)}`,
			{ cause },
		);
	}
}

function protocol(text: string): string {
	return URL.canParse(text) ? new URL(text).protocol : "";
}

/** One file, without scripts or anything from elsewhere. */
export function reportHtml({ day, ...tables }: DailyReport): string {
	const { total } = tables.byDevice;
	const headline =
		total.joules === null
			? "No sensor measured."
			: `${three(total.joules / 3600)} Wh measured, ${total.coverage}.`;
	return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Fleet power ${text(day)}</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;font-variant-numeric:tabular-nums}div{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.35rem .7rem;border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}th:first-child,td:first-child{text-align:left}h2{margin-top:2rem}</style>
<h1>Fleet power, ${text(day)}</h1>
<p><strong>${text(headline)}</strong> ${text(`${total.utterances} utterances, ${three(total.audioSeconds / 60)} minutes of speech.`)} The day is UTC. Estimates stand in columns of their own and are in no sum with measurements.</p>
<h2>Voices</h2>${htmlTable(tables.byVoice)}
<h2>Device classes</h2>${htmlTable(tables.byClass)}
<h2>Devices</h2>${htmlTable(tables.byDevice)}
</html>
`;
}

function htmlTable({ by, rows }: PowerTable): string {
	const heads = [
		by,
		...["Wh", "J per s of speech", "est. Wh", "speech, min"],
		"coverage",
	];
	const wh = (joules: number | null) =>
		joules === null ? "unknown" : three(joules / 3600);
	const body = rows.map((r) => [
		r.name,
		wh(r.joules),
		three(r.joulesPerAudioSecond),
		r.estimatedJoules === null ? "" : wh(r.estimatedJoules),
		three(r.audioSeconds / 60),
		r.coverage,
	]);
	const line = (cells: readonly string[], tag: string) =>
		`<tr>${cells.map((c) => `<${tag}>${text(c)}</${tag}>`).join("")}</tr>`;
	return `<div><table><thead>${line(heads, 'th scope="col"').replaceAll('</th scope="col">', "</th>")}</thead><tbody>${body.map((cells) => line(cells, "td")).join("\n")}</tbody></table></div>`;
}

function text(value: string): string {
	return value.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
