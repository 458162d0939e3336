import { amount, duration, el, svg, three } from "./dom.js";

const HEIGHT = 220;
const LEFT = 62;
const BOTTOM = 26;
const TOP = 10;

/** Of a chart and how many labels stand below it: drawn at about its size, so that its text is as large as said. */
const WIDE = { width: 560, labels: 8 };
const NARROW = { width: 330, labels: 5 };
const narrow = matchMedia("(max-width: 30rem)");

/** Round axis values from 0 that cover `top`: steps of 1, 2 or 5 times a power of ten. */
function ticks(top) {
	const raw = (top || 1) / 4;
	const power = 10 ** Math.floor(Math.log10(raw));
	const step = power * [1, 2, 5, 10].find((n) => n * power >= raw * 0.999);
	const out = [];
	for (let v = 0; v < top + step * 0.999; v += step) out.push(v);
	return out;
}

/**
 * Energy over time as bars. Measured and estimated are two charts: they are never one sum.
 * @param rows of a power table by day or hour
 * @param kind "measured" or "estimated"
 */
export function energyChart(rows, kind, total, coverage) {
	const key = kind === "measured" ? "joules" : "estimatedJoules";
	const known = rows.filter((row) => row[key] !== null);
	const title = kind === "measured" ? "Measured" : "Estimated";
	const head = el(
		"figcaption",
		{},
		el("h3", {}, title),
		el(
			"p",
			{},
			el("b", {}, total === null ? "unknown" : amount(total / 3600, "Wh")),
			el("span", { class: "quiet" }, ` ${coverage}`),
		),
	);
	if (known.length === 0)
		return el(
			"figure",
			{ class: "chart" },
			head,
			el("p", { class: "quiet empty" }, `Nothing ${kind} in this span.`),
		);
	const values = rows.map((row) =>
		row[key] === null ? null : row[key] / 3600,
	);
	const top = Math.max(...values.map((v) => v ?? 0));
	const ys = ticks(top);
	const most = ys.at(-1) || 1;
	const unit = most >= 1000 ? [1000, "kWh"] : [1, "Wh"];
	const y = (v) => HEIGHT - BOTTOM - (v / most) * (HEIGHT - BOTTOM - TOP);
	const { width, labels } = narrow.matches ? NARROW : WIDE;
	const slot = (width - LEFT - 6) / rows.length;
	const every = Math.ceil(rows.length / labels);
	const label = (row) =>
		rows[0].at.slice(0, 10) === rows.at(-1).at.slice(0, 10) ||
		row.at.slice(11, 13) !== "00"
			? row.at.slice(11, 16)
			: row.at.slice(5, 10);
	const drawing = svg(
		"svg",
		{
			viewBox: `0 0 ${width} ${HEIGHT}`,
			role: "img",
			"aria-label": `${title} energy, ${rows.length} bars from ${rows[0].name} to ${rows.at(-1).name}, the highest ${three(top / unit[0])} ${unit[1]}. The table below has every value.`,
		},
		ys.flatMap((v) => [
			svg("line", { class: "grid", x1: LEFT, x2: width, y1: y(v), y2: y(v) }),
			svg(
				"text",
				{ x: LEFT - 8, y: y(v) + 4, "text-anchor": "end" },
				v === most ? `${three(v / unit[0])} ${unit[1]}` : three(v / unit[0]),
			),
		]),
		rows.map((row, i) =>
			values[i] === null
				? null
				: svg(
						"rect",
						{
							class: `bar ${kind}`,
							x: LEFT + i * slot + slot * 0.14,
							width: slot * 0.72,
							y: y(values[i]),
							height: Math.max(0.5, y(0) - y(values[i])),
							rx: Math.min(3, slot * 0.2),
						},
						svg("title", {}, `${row.name}: ${amount(values[i], "Wh")}`),
					),
		),
		rows.map((row, i) =>
			i % every === 0
				? svg(
						"text",
						{
							x: LEFT + (i + 0.5) * slot,
							y: HEIGHT - 7,
							"text-anchor": "middle",
						},
						label(row),
					)
				: null,
		),
	);
	return el(
		"figure",
		{ class: "chart" },
		head,
		drawing,
		el(
			"details",
			{},
			el("summary", {}, "As a table"),
			valueTable(
				["Time (UTC)", "Energy", "Devices"],
				rows.map((row, i) => [
					row.name.replace("T", " "),
					amount(values[i], "Wh"),
					row.coverage,
				]),
			),
		),
	);
}

/** A small table of values. */
export function valueTable(heads, rows, label = heads.join(", ")) {
	return el(
		"div",
		{
			class: "scroll",
			tabindex: 0,
			role: "region",
			"aria-label": label,
		},
		el(
			"table",
			{},
			el("caption", { class: "hidden" }, label),
			el(
				"thead",
				{},
				el(
					"tr",
					{},
					heads.map((h) => el("th", { scope: "col" }, h)),
				),
			),
			el(
				"tbody",
				{},
				rows.map((row) =>
					el(
						"tr",
						{},
						row.map((cell, i) =>
							i === 0 ? el("th", { scope: "row" }, cell) : el("td", {}, cell),
						),
					),
				),
			),
		),
	);
}

/**
 * Joules per second of speech, one bar per line, lowest first: only measured figures are ranked.
 * @param rows lines of a power table
 */
export function speechChart(title, rows, name, wide = false) {
	const measured = rows
		.filter((row) => row.joulesPerAudioSecond !== null)
		.sort((a, b) => a.joulesPerAudioSecond - b.joulesPerAudioSecond);
	const without = rows.length - measured.length;
	const top =
		Math.max(...measured.map((row) => row.joulesPerAudioSecond), 0) || 1;
	return el(
		"figure",
		{ class: wide ? "chart wide" : "chart" },
		el("figcaption", {}, el("h3", {}, title)),
		measured.length === 0
			? el(
					"p",
					{ class: "quiet empty" },
					"No device with a sensor has spoken in this span.",
				)
			: el(
					"ol",
					{ class: "bars" },
					measured.map((row) =>
						el(
							"li",
							{},
							el("span", { class: "name" }, name(row)),
							el("b", {}, `${three(row.joulesPerAudioSecond)} J/s`),
							svg(
								"svg",
								{
									viewBox: "0 0 100 6",
									preserveAspectRatio: "none",
									"aria-hidden": "true",
								},
								svg("rect", { class: "track", width: 100, height: 6, rx: 1 }),
								svg("rect", {
									class: "bar measured",
									width: (100 * row.joulesPerAudioSecond) / top,
									height: 6,
									rx: 1,
								}),
							),
							el(
								"span",
								{ class: "quiet" },
								`${duration(row.audioSeconds)} of speech, ${row.coverage}`,
							),
						),
					),
				),
		without > 0 &&
			el("p", { class: "quiet" }, `${without} more without a measured figure.`),
	);
}
