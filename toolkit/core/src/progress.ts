import { type Clock, systemClock } from "./clock.ts";

/** Short facts shown beside a task: loss, energy so far. Values are already worded for people. */
export type Facts = Record<string, string>;

/** One piece of work that takes more than a second or two. */
export interface Task {
	/** @param done units done so far, of the task's total */
	update(done: number, facts?: Facts): void;
	/** Ends the task well. Idempotent; nothing is shown after it. */
	finish(result?: string): void;
	/** Ends the task badly. Idempotent. */
	fail(reason?: string): void;
}

/**
 * Where work says how far it is. Adapters: {@link silentProgress} for programs,
 * {@link plainProgress} for logs, and a terminal bar in the cli.
 */
export interface Progress {
	/** @param total units in all; undefined when nobody can know */
	task(label: string, total?: number): Task;
	/** One line for the reader, outside any task. */
	note(text: string): void;
}

const silentTask: Task = {
	update: () => undefined,
	finish: () => undefined,
	fail: () => undefined,
};

/** Says nothing: for `--json` and for tests. */
export const silentProgress: Progress = {
	task: () => silentTask,
	note: () => undefined,
};

export interface PlainOptions {
	/** Milliseconds between two lines of one task. Default 5000. */
	everyMs?: number;
	clock?: Clock;
}

/**
 * Whole lines, for a pipe or a log file: one when a task starts, one every few seconds, one at its end.
 * @param write takes a line without its newline
 */
export function plainProgress(
	write: (line: string) => void,
	{ everyMs = 5000, clock = systemClock }: PlainOptions = {},
): Progress {
	return {
		note: write,
		task(label, total) {
			const begin = clock.monotonic();
			const left = pace(total, clock);
			let last = begin;
			let ended = false;
			const end = (word: string, detail?: string) => {
				if (ended) return;
				ended = true;
				const took = formatSeconds((clock.monotonic() - begin) / 1000);
				write(`${label}: ${word} in ${took}${detail ? `, ${detail}` : ""}`);
			};
			write(`${label} ...`);
			return {
				update(done, facts = {}) {
					const now = clock.monotonic();
					const seconds = left(done);
					if (ended || now - last < everyMs) return;
					last = now;
					const parts = [
						total === undefined ? String(done) : `${done}/${total}`,
						...(seconds === undefined
							? []
							: [`${formatSeconds(seconds)} left`]),
						...Object.entries(facts).map(([k, v]) => `${k} ${v}`),
					];
					write(`${label}: ${parts.join(", ")}`);
				},
				finish: (result) => end("done", result),
				fail: (reason) => end("failed", reason),
			};
		},
	};
}

/**
 * Tells the seconds still to go from the pace since the first update: what a task needs to get going,
 * and what an earlier run had done already, say nothing about the pace.
 * @returns told how much is done, gives seconds; undefined while nobody can know
 */
export function pace(
	total: number | undefined,
	clock: Clock = systemClock,
): (done: number) => number | undefined {
	let first: { done: number; at: number } | undefined;
	return (done) => {
		const at = clock.monotonic();
		first ??= { done, at };
		const progress = done - first.done;
		if (total === undefined || progress <= 0) return undefined;
		const elapsed = (at - first.at) / 1000;
		return Math.max(0, (elapsed * (total - done)) / progress);
	};
}

/** Seconds worded for people: "0.4 s", "12 s", "3 min 05 s", "2 h 10 min". */
export function formatSeconds(seconds: number): string {
	if (!Number.isFinite(seconds)) return "unknown";
	if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
	const whole = Math.round(seconds);
	if (whole < 60) return `${whole} s`;
	if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
	const minutes = Math.round(whole / 60);
	return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/**
 * Joules worded for people: "0.42 J", "312 J", "1.8 kJ", "12.3 Wh" from 10 Wh on.
 * @param joules null where nobody knows, which is never 0
 */
export function formatJoules(joules: number | null): string {
	if (joules === null || !Number.isFinite(joules)) return "unknown";
	if (joules >= 36_000) return `${significant(joules / 3600)} Wh`;
	if (joules >= 1000) return `${significant(joules / 1000)} kJ`;
	return `${significant(joules)} J`;
}

function significant(value: number): string {
	if (value === 0) return "0";
	return Number(value.toPrecision(3)).toString();
}

function pad(n: number): string {
	return String(n).padStart(2, "0");
}
