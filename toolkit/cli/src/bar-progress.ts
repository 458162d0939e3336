import type { Facts, Progress, Task } from "@wattvox/core";
import { formatSeconds, pace, systemClock } from "@wattvox/core";
import cliProgress from "cli-progress";

/**
 * Bars on a terminal, one line each; a task of unknown length shows how much is done.
 * @param stream a terminal, standard error by custom
 */
export function barProgress(stream: NodeJS.WriteStream): Progress {
	let bars: cliProgress.MultiBar | undefined;
	let running = 0;

	const open = () => {
		bars ??= new cliProgress.MultiBar(
			{
				stream,
				format: (options, params, payload) =>
					row(
						params,
						payload as Payload,
						options.barsize ?? 24,
						stream.columns,
					),
				barsize: 24,
				fps: 10,
				// a cursor hidden by a program that is killed stays hidden
				hideCursor: false,
				clearOnComplete: false,
				stopOnComplete: false,
				gracefulExit: false,
			},
			cliProgress.Presets.shades_grey,
		);
		return bars;
	};

	return {
		note(text) {
			if (bars) bars.log(`${text}\n`);
			else stream.write(`${text}\n`);
		},
		task(label, total): Task {
			const begin = systemClock.monotonic();
			const left = pace(total);
			const payload: Payload = { label, total, facts: {} };
			const bar = open().create(total ?? 1, 0, payload);
			running++;
			let ended = false;
			const end = (word: string, detail?: string) => {
				if (ended) return;
				ended = true;
				const took = formatSeconds((systemClock.monotonic() - begin) / 1000);
				payload.end = `${word} in ${took}${detail ? `, ${detail}` : ""}`;
				bar.update(payload);
				running--;
				if (running === 0) {
					bars?.stop();
					bars = undefined;
				}
			};
			return {
				update(done, facts) {
					if (ended) return;
					payload.done = done;
					payload.left = left(done);
					if (facts) payload.facts = facts;
					bar.update(total === undefined ? 0 : Math.min(done, total), payload);
				},
				finish: (result) => end("done", result),
				fail: (reason) => end("failed", reason),
			};
		},
	};
}

interface Payload {
	label: string;
	total: number | undefined;
	done?: number;
	/** Seconds. */
	left?: number | undefined;
	facts: Facts;
	/** Set when the task is over. */
	end?: string;
}

/** One task as one line, cut to the terminal's width: a wrapped line cannot be drawn over. */
export function row(
	{ progress }: { progress: number },
	payload: Payload,
	barSize: number,
	columns = 80,
): string {
	const { label, total, done = 0, left, end } = payload;
	if (end !== undefined) return cut(`${label}: ${end}`, columns);
	const filled = Math.round(barSize * Math.min(1, Math.max(0, progress)));
	const parts = [
		label,
		total === undefined
			? String(done)
			: `${"█".repeat(filled)}${"░".repeat(barSize - filled)} ${Math.floor(progress * 100)}%`,
		left === undefined ? "" : `${formatSeconds(left)} left`,
		...Object.entries(payload.facts).map(([name, value]) => `${name} ${value}`),
	];
	return cut(parts.filter(Boolean).join("  "), columns);
}

function cut(text: string, columns: number): string {
	const points = [...text];
	return points.length < columns ? text : points.slice(0, columns - 1).join("");
}
