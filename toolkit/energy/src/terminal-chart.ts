import { formatSeconds } from "@wattvox/core";
import type { PowerStep } from "./ledger-power.ts";

const EIGHTHS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const WIDTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of up to `width` columns for a share of 0..1, to an eighth of a column. */
export function bar(share: number, width: number): string {
	const eighths = Math.round(Math.max(0, Math.min(1, share)) * width * 8);
	return "█".repeat(eighths >> 3) + (WIDTHS[eighths & 7] ?? "");
}

/**
 * Power over time for a terminal: each column the mean over its time, a gap where nobody knows. The
 * axis begins at 0 W.
 * @returns "" when nothing is known
 */
export function powerChart(
	steps: readonly PowerStep[],
	width = 60,
	height = 6,
): string {
	const end = steps.at(-1)?.to ?? 0;
	const columns = Array.from({ length: width }, (_, i) =>
		meanWatts(steps, (i * end) / width, ((i + 1) * end) / width),
	);
	const most = Math.max(0, ...columns.map((w) => w ?? 0));
	if (most <= 0) return "";
	const label = (watts: number) => `${watts.toPrecision(3)} W`.padStart(8);
	const rows = Array.from({ length: height }, (_, k) => {
		const row = height - 1 - k;
		const cells = columns.map((watts) => {
			if (watts === null) return " ";
			const eighths = Math.round((watts / most) * height * 8) - row * 8;
			return EIGHTHS[Math.max(0, Math.min(8, eighths))] ?? " ";
		});
		const axis = k === 0 ? label(most) : " ".repeat(8);
		return `${axis} │${cells.join("")}`.trimEnd();
	});
	const foot = `${"0 W".padStart(8)} └${"─".repeat(width)}`;
	return [...rows, foot, `${" ".repeat(10)}0 to ${formatSeconds(end)}`].join(
		"\n",
	);
}

/** By the time each step covers of the column. */
function meanWatts(
	steps: readonly PowerStep[],
	from: number,
	to: number,
): number | null {
	let [joules, seconds] = [0, 0];
	for (const step of steps) {
		const common = Math.min(step.to, to) - Math.max(step.from, from);
		if (common <= 0 || step.watts === null) continue;
		joules += step.watts * common;
		seconds += common;
	}
	return seconds > 0 ? joules / seconds : null;
}
