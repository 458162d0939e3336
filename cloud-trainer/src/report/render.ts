import { formatJoules, formatSeconds } from "@wattvox/core";
import { Html, html } from "./html.ts";
import { SCRIPT } from "./script.ts";
import {
	about,
	amount,
	learning,
	listen,
	results,
	stages,
	totals,
} from "./sections.ts";
import { STYLE } from "./style.ts";
import type { DemoReport } from "./types.ts";

/** Nothing is fetched: the page must look the same from a stick, and text in it can do no harm. */
const POLICY =
	"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/**
 * A report as one self-contained HTML page. Pure: the same data give the same page.
 * The headline has the time first, and energy only where a sensor measured all of it.
 */
export function renderReport(report: DemoReport): string {
	const when = `${report.createdAt.toISOString().slice(0, 16).replace("T", " ")} UTC`;
	return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${report.title}</title>
<link rel="icon" href="data:,">
<style>${new Html(STYLE)}</style>
</head>
<body>
<header>
<p class="eyebrow">wattvox · ${report.voice.name} · <time datetime="${report.createdAt.toISOString()}">${when}</time></p>
<h1>${report.title}</h1>
<p class="lead">${report.voice.about}</p>
${headline(report)}
</header>
<main>
${listen(report)}
${stages(report)}
${results(report)}
${learning(report)}
${about(report)}
</main>
<footer>The speech on this page is synthetic unless it is labelled a recording.</footer>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`.text;
}

function headline({ stages, figures }: DemoReport): Html {
	const total = totals(stages);
	const items: [string, string][] = [];
	if (stages.length > 0)
		items.push([
			`in ${stages.length} ${stages.length === 1 ? "stage" : "stages"}`,
			formatSeconds(total.seconds),
		]);
	if (total.joules !== null && total.measured && total.unknown === 0)
		items.push(["measured energy", formatJoules(total.joules)]);
	for (const f of figures)
		if (f.headline && !f.estimated && f.value !== null)
			items.push([f.name, amount(f.value, f.unit)]);
	if (items.length === 0) return html``;
	return html`<dl class="headline">${items.map(([what, value]) => html`<div><dt>${what}</dt><dd>${value}</dd></div>`)}</dl>`;
}
