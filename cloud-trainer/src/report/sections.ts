import { formatSeconds } from "@wattvox/core";
import { charts, drawChart } from "./chart.ts";
import { dataUri, type Html, html } from "./html.ts";
import { barWidth, formatNumber } from "./numbers.ts";
import { loudest, spectrogramPng } from "./spectrogram.ts";
import type {
	DemoReport,
	ReportAudio,
	ReportFigure,
	ReportSpectrogram,
	ReportStage,
} from "./types.ts";

const NONE = html``;

/** Players, each under the spectrogram of its label; then the spectrograms that have no sound. */
export function listen({ audio, spectrograms }: DemoReport): Html {
	if (audio.length + spectrograms.length === 0) return NONE;
	const top = loudest(spectrograms);
	const longest = Math.max(...spectrograms.map((s) => s.frames), 1);
	const picture = (s: ReportSpectrogram) => {
		const width = `${((100 * s.frames) / longest).toFixed(2)}%`;
		return html`<div class="sound"><img alt="Mel spectrogram of ${s.label}" style="width:${width}" src="${dataUri("image/png", spectrogramPng(s, top))}"><span class="head"></span></div>`;
	};
	const labels = new Set(audio.map((a) => a.label));
	const card = (a: ReportAudio) => {
		const s = spectrograms.find((s) => s.label === a.label);
		return html`<article class="card" data-card>${s ? picture(s) : NONE}
<div class="card-text"><h3>${a.label}</h3><blockquote>${a.text}</blockquote></div>
<div class="player"><audio controls preload="metadata" aria-label="${a.label}" src="${dataUri("audio/wav", a.wav)}"></audio></div></article>`;
	};
	const silent = spectrograms.filter((s) => !labels.has(s.label));
	return html`<section aria-labelledby="listen"><h2 id="listen">Listen</h2>
<p class="quiet">Time runs to the right and pitch upwards; all pictures share one scale of time and loudness.</p>
<div class="cards">${audio.map(card)}${silent.map(
		(s) =>
			html`<article class="card">${picture(s)}<div class="card-text"><h3>${s.label}</h3></div></article>`,
	)}</div></section>`;
}

/** What each stage took. An estimate is tagged and hatched; an unknown has no bar. */
export function stages({ stages, power }: DemoReport): Html {
	if (stages.length === 0) return NONE;
	const slowest = Math.max(...stages.map((s) => s.seconds));
	const hungriest = Math.max(...stages.map((s) => s.joules ?? 0));
	const total = totals(stages);
	return html`<section aria-labelledby="stages"><h2 id="stages">Time and energy</h2>
<p class="quiet">${
		power
			? html`Energy is ${power.measured ? "measured" : "estimated"} (${power.sensor}): ${power.scope}.${power.assumption ? ` The estimate assumes ${power.assumption}.` : ""}`
			: "No power source was found, so energy is unknown."
	}</p>
<table role="table"><thead><tr role="row"><th scope="col">Stage</th><th scope="col">Time</th><th scope="col">Energy</th><th scope="col">Result</th></tr></thead>
<tbody>${stages.map(
		(s) =>
			html`<tr role="row"><th scope="row" role="rowheader">${s.name}</th><td role="cell" class="amount" data-label="Time">${formatSeconds(s.seconds)}<span class="bar time" style="width:${barWidth(s.seconds, slowest)}"></span></td><td role="cell" class="amount" data-label="Energy">${energy(s.joules, s.measured)}${s.joules === null ? NONE : html`<span class="bar energy${s.measured ? "" : " estimated"}" style="width:${barWidth(s.joules, hungriest)}"></span>`}</td><td role="cell" class="wide">${s.result}</td></tr>`,
	)}</tbody>
<tfoot><tr role="row"><th scope="row" role="rowheader">Together</th><td role="cell" data-label="Time">${formatSeconds(total.seconds)}</td><td role="cell" data-label="Energy">${energy(total.joules, total.measured)}</td><td role="cell" class="wide">${total.unknown > 0 && total.joules !== null ? `energy known for ${stages.length - total.unknown} of ${stages.length} stages` : ""}</td></tr></tfoot></table></section>`;
}

function energy(joules: number | null, measured: boolean): Html {
	if (joules === null) return html`<span class="quiet">unknown</span>`;
	const word = measured ? "measured" : "estimated";
	return html`${joulesText(joules)}<span class="tag ${word}">${word}</span>`;
}

/** All in one unit, so that a column compares; watt-hours beside it where they say more. */
function joulesText(joules: number): string {
	const text = `${formatNumber(joules)}\u00a0J`;
	return joules < 3600
		? text
		: `${text} (${formatNumber(joules / 3600)}\u00a0Wh)`;
}

/**
 * The sum of the stages. It counts as measured only when every joule in it was; joules are null when
 * no stage knows any.
 */
export function totals(of: readonly ReportStage[]) {
	const known = of.filter((s) => s.joules !== null);
	return {
		seconds: of.reduce((sum, s) => sum + s.seconds, 0),
		joules: known.length
			? known.reduce((sum, s) => sum + (s.joules ?? 0), 0)
			: null,
		measured: known.length > 0 && known.every((s) => s.measured),
		/** Stages whose energy nobody knows. */
		unknown: of.length - known.length,
	};
}

export function learning({ curves }: DemoReport): Html {
	if (curves.length === 0) return NONE;
	return html`<section aria-labelledby="learning"><h2 id="learning">Learning</h2>
<p class="quiet">Loss by training step, with its last value.</p>
<div class="charts">${charts(curves).map(drawChart)}</div></section>`;
}

export function results({ figures }: DemoReport): Html {
	if (figures.length === 0) return NONE;
	const goals = figures.some((f) => f.goal);
	return html`<section aria-labelledby="results"><h2 id="results">Results</h2>
<table role="table" class="results"><thead><tr role="row"><th scope="col">Figure</th><th scope="col">Value</th>${goals ? html`<th scope="col">Goal</th><th scope="col">Reached</th>` : NONE}</tr></thead>
<tbody>${figures.map(
		(f) =>
			html`<tr role="row"><th scope="row" role="rowheader">${f.name}</th><td role="cell" data-label="Value">${amount(f.value, f.unit)}${f.estimated ? html`<span class="tag estimated">estimated</span>` : NONE}</td>${goals ? html`<td role="cell" data-label="Goal">${f.goal ? `${f.goal.is} ${amount(f.goal.value, f.unit)}` : ""}</td><td role="cell" data-label="Reached">${verdict(f)}</td>` : NONE}</tr>`,
	)}</tbody></table></section>`;
}

function verdict({ value, goal }: ReportFigure): Html {
	if (!goal) return NONE;
	if (value === null || !Number.isFinite(value))
		return html`<span class="quiet">unknown</span>`;
	const met = goal.is === "at most" ? value <= goal.value : value >= goal.value;
	return met
		? html`<span class="met">✓ yes</span>`
		: html`<span class="missed">✗ no</span>`;
}

/** A value with its unit; "%" stands close. */
export function amount(value: number | null, unit: string): string {
	if (value === null || !Number.isFinite(value)) return "unknown";
	return `${formatNumber(value)}${unit === "" || unit === "%" ? unit : `\u00a0${unit}`}`;
}

export function about({ voice, notes }: DemoReport): Html {
	return html`${
		voice.facts.length === 0
			? NONE
			: html`<section aria-labelledby="voice"><h2 id="voice">The voice</h2><dl class="facts">${voice.facts.map(([what, value]) => html`<dt>${what}</dt><dd>${value}</dd>`)}</dl></section>`
	}${
		notes.length === 0
			? NONE
			: html`<section aria-labelledby="notes"><h2 id="notes">Notes</h2><ul class="notes">${notes.map((n) => html`<li>${n}</li>`)}</ul></section>`
	}`;
}
