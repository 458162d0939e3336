import { type Html, html } from "./html.ts";
import { formatNumber } from "./numbers.ts";
import type { ReportCurve } from "./types.ts";

const WIDTH = 400;
const HEIGHT = 220;
const LEFT = 44;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 26;
/** More points than pixels only make the page heavier. */
const MOST_POINTS = 400;

/** Several curves that share one chart. */
export interface Chart {
	title: string;
	series: ReportCurve[];
}

/** Curves by the part of their name before the first "/". */
export function charts(curves: readonly ReportCurve[]): Chart[] {
	const out = new Map<string, Chart>();
	for (const { name, points } of curves) {
		const [title = name, ...rest] = name.split("/");
		const chart = out.get(title) ?? { title, series: [] };
		chart.series.push({ name: rest.join("/") || title, points });
		out.set(title, chart);
	}
	return [...out.values()];
}

/**
 * Round axis values that cover [low, high]: steps of 1, 2 or 5 times a power of ten.
 * @param about how many steps are wanted
 */
export function ticks(low: number, high: number, about = 4): number[] {
	const span = high - low || Math.abs(high) || 1;
	const raw = span / about;
	const power = 10 ** Math.floor(Math.log10(raw));
	const step =
		power * ([1, 2, 5, 10].find((n) => n * power >= raw * 0.999) ?? 10);
	const first = Math.floor(low / step + 1e-9);
	const last = Math.ceil(high / step - 1e-9);
	const count = Math.max(1, last - first);
	return Array.from({ length: count + 1 }, (_, i) => (first + i) * step);
}

/** A chart as a figure: legend with last values, axes, one line per series. */
export function drawChart({ title, series }: Chart): Html {
	const finite = series.flatMap(({ points }) =>
		points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)),
	);
	if (finite.length === 0)
		return html`<figure class="chart"><figcaption><h3>${title}</h3></figcaption><p class="quiet">No values.</p></figure>`;
	const [left, right] = extent(finite.map(([x]) => x));
	const [low, high] = extent(finite.map(([, y]) => y));
	const ys = ticks(Math.min(low, 0 <= low && low < high / 2 ? 0 : low), high);
	const bottom = ys[0] ?? 0;
	const top = ys.at(-1) ?? 1;
	const x = (v: number) =>
		LEFT + ((v - left) / (right - left || 1)) * (WIDTH - LEFT - RIGHT);
	const y = (v: number) =>
		HEIGHT - BOTTOM - ((v - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
	const xs = ticks(left, right).filter((v) => v >= left && v <= right);
	return html`<figure class="chart">
<figcaption><h3>${title}</h3><ul class="legend">${series.map(
		(s, i) =>
			html`<li class="s${i % 4}"><span class="swatch"></span>${s.name} <b>${formatNumber(lastValue(s))}</b></li>`,
	)}</ul></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${describe(title, series)}">
${ys.map((v) => html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(y(v))}" y2="${round(y(v))}"/><text x="${LEFT - 8}" y="${round(y(v) + 4)}" text-anchor="end">${formatNumber(v)}</text>`)}
${xs.map((v) => html`<text x="${round(x(v))}" y="${HEIGHT - 6}" text-anchor="middle">${formatNumber(v)}</text>`)}
${series.map((s, i) => html`<path class="line s${i % 4}" d="${path(s.points, x, y)}"/>`)}
</svg></figure>`;
}

function path(
	points: readonly [number, number][],
	x: (v: number) => number,
	y: (v: number) => number,
): string {
	const stride = Math.max(1, Math.ceil(points.length / MOST_POINTS));
	let pen = "M";
	let out = "";
	points.forEach(([step, value], i) => {
		if (i % stride !== 0 && i !== points.length - 1) return;
		if (!Number.isFinite(step) || !Number.isFinite(value)) {
			pen = "M";
			return;
		}
		out += `${pen}${round(x(step))} ${round(y(value))}`;
		pen = "L";
	});
	return out;
}

function describe(title: string, series: readonly ReportCurve[]): string {
	const each = series.map((s) => {
		const first = s.points.find(([, v]) => Number.isFinite(v));
		const steps = s.points.at(-1)?.[0];
		return `${s.name} from ${formatNumber(first?.[1] ?? null)} to ${formatNumber(lastValue(s))} at step ${formatNumber(steps ?? null)}`;
	});
	return `${title}: ${each.join("; ")}`;
}

function lastValue({ points }: ReportCurve): number | null {
	return points.findLast(([, v]) => Number.isFinite(v))?.[1] ?? null;
}

function extent(values: readonly number[]): [number, number] {
	return values.reduce<[number, number]>(
		([low, high], v) => [Math.min(low, v), Math.max(high, v)],
		[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
	);
}

function round(v: number): number {
	return Math.round(v * 10) / 10;
}
