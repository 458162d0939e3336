import { inflateSync } from "node:zlib";
import test from "ava";
import fc from "fast-check";
import { charts, drawChart, ticks } from "./chart.ts";
import { escapeHtml, html } from "./html.ts";
import { barWidth, formatNumber } from "./numbers.ts";
import { indexedPng } from "./png.ts";
import { renderReport } from "./render.ts";
import { sampleReport } from "./sample.ts";
import { totals } from "./sections.ts";
import { loudest, palette, spectrogramPng } from "./spectrogram.ts";
import type { ReportStage } from "./types.ts";

const headline = (page: string) =>
	page.match(/<dl class="headline">.*?<\/dl>/s)?.[0] ?? "";
const stage = (over: Partial<ReportStage>): ReportStage => ({
	name: "s",
	seconds: 10,
	joules: 50,
	measured: true,
	result: "",
	...over,
});

test("time comes first, then energy that was measured throughout", (t) => {
	const top = headline(renderReport(sampleReport()));
	t.regex(top, /1 min 31 s.*1\.82 kJ.*61.ms/s);
});

for (const [what, stages] of [
	["an estimate", [stage({ measured: false })]],
	["part of an estimate", [stage({}), stage({ measured: false })]],
	["an unknown", [stage({}), stage({ joules: null })]],
] as const)
	test(`${what} is never the headline`, (t) => {
		const page = renderReport(sampleReport({ stages: [...stages] }));
		t.notRegex(headline(page), /energy|\bk?J\b/);
		t.regex(page, /estimated<\/span>|unknown<\/span>/);
	});

test("an estimated or unknown figure is not in the headline, and is labelled in its table", (t) => {
	const page = renderReport(
		sampleReport({
			figures: [
				{
					name: "Joules",
					value: 0.4,
					unit: "J",
					estimated: true,
					headline: true,
				},
				{ name: "Likeness", value: null, unit: "", headline: true },
			],
		}),
	);
	t.notRegex(headline(page), /Joules|Likeness/);
	t.regex(page, /0\.4.J<span class="tag estimated">/);
	t.regex(page, /Likeness.*unknown/s);
});

test("totals: unknown is not 0, and one estimate makes the sum an estimate", (t) => {
	t.deepEqual(totals([stage({}), stage({ joules: null })]), {
		seconds: 20,
		joules: 50,
		measured: true,
		unknown: 1,
	});
	t.deepEqual(totals([stage({ joules: null })]), {
		seconds: 10,
		joules: null,
		measured: false,
		unknown: 1,
	});
	t.false(totals([stage({}), stage({ measured: false })]).measured);
});

test("goals are judged both ways", (t) => {
	const page = renderReport(
		sampleReport({
			figures: [
				{
					name: "a",
					value: 2,
					unit: "",
					goal: { is: "at most", value: 1 },
				},
				{
					name: "b",
					value: 2,
					unit: "",
					goal: { is: "at least", value: 2 },
				},
			],
		}),
	);
	t.regex(page, />a<\/th>.*✗ no.*>b<\/th>.*✓ yes/s);
});

test("an empty report is a page all the same", (t) => {
	const page = renderReport({
		title: "Empty",
		createdAt: new Date(0),
		voice: { name: "v", about: "", facts: [] },
		stages: [],
		curves: [],
		audio: [],
		spectrograms: [],
		figures: [],
		notes: [],
	});
	t.regex(page, /^<!doctype html>/);
	t.notRegex(page, /<section|<table|NaN|Infinity|undefined/);
});

test("nothing from outside, no half-made value", (t) => {
	const page = renderReport(sampleReport());
	t.notRegex(page, /(src|href)="(?!data:|#)/);
	t.notRegex(page, /url\(|@import/);
	t.notRegex(
		page.replace(/<script>.*<\/script>/s, ""),
		/NaN|undefined|Infinity|\[object/,
	);
	t.is(page, renderReport(sampleReport()));
});

test("whatever text is put in comes out as text", (t) => {
	fc.assert(
		fc.property(fc.string(), (s) => {
			const out = escapeHtml(s);
			return !/[<>"'\0]/.test(out) && !/&(?!(amp|lt|gt|quot|#39);)/.test(out);
		}),
	);
	t.is(
		html`<p title="${'"x"'}">${["<b>", html`<i>`]}</p>`.text,
		'<p title="&quot;x&quot;">&lt;b&gt;<i></p>',
	);
});

test("ticks are even, round, and cover the range with few steps", (t) => {
	fc.assert(
		fc.property(
			fc.double({ min: -1e6, max: 1e6, noNaN: true }),
			fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
			(low, span) => {
				const all = ticks(low, low + span);
				const step = (all[1] ?? 0) - (all[0] ?? 0);
				return (
					all.length >= 2 &&
					all.length <= 8 &&
					(all[0] ?? 0) <= low + step * 1e-6 &&
					(all.at(-1) ?? 0) >= low + span - step * 1e-6
				);
			},
		),
	);
	t.deepEqual(ticks(0, 1), [0, 0.5, 1]);
	t.deepEqual(
		ticks(3, 3).map((v) => formatNumber(v)),
		["3", "4"],
	);
});

test("curves share a chart by the first part of their names; gaps and single points draw", (t) => {
	const made = charts([
		{ name: "a/x", points: [[0, 1]] },
		{ name: "b", points: [] },
		{
			name: "a/y",
			points: [
				[0, 1],
				[1, Number.NaN],
				[2, 3],
			],
		},
	]);
	t.deepEqual(
		made.map((c) => [c.title, c.series.map((s) => s.name)]),
		[
			["a", ["x", "y"]],
			["b", ["b"]],
		],
	);
	const [a, b] = made.map((c) => drawChart(c).text);
	t.regex(a ?? "", /d="M[\d.]+ [\d.]+M[\d.]+ [\d.]+"/);
	t.notRegex(a ?? "", /NaN/);
	t.regex(b ?? "", /No values/);
});

test("a long curve is thinned but keeps its last point", (t) => {
	const points = Array.from({ length: 10_001 }, (_, i): [number, number] => [
		i,
		i,
	]);
	const { text } = drawChart({ title: "x", series: [{ name: "x", points }] });
	t.true(text.length < 15_000);
	t.regex(text, /L388 10"/);
});

test("a PNG holds its pixels", (t) => {
	const pixels = Uint8Array.from([0, 1, 2, 3, 4, 5]);
	const png = Buffer.from(indexedPng(pixels, 3, 2, palette()));
	t.is(png.toString("latin1", 1, 4), "PNG");
	t.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [3, 2]);
	const at = png.indexOf("IDAT");
	const data = png.subarray(at + 4, at + 4 + png.readUInt32BE(at - 4));
	t.deepEqual([...inflateSync(data)], [0, 0, 1, 2, 0, 3, 4, 5]);
});

test("a spectrogram has time to the right, low bands below, the loudest brightest", (t) => {
	const s = {
		label: "x",
		frames: 2,
		nMels: 3,
		mel: Float32Array.from([0, -100, -100, -100, -100, Number.NaN]),
	};
	t.is(loudest([s]), 0);
	t.is(loudest([]), 0);
	const png = Buffer.from(spectrogramPng(s, 0));
	const at = png.indexOf("IDAT");
	const rows = [...inflateSync(png.subarray(at + 4, -16))];
	t.deepEqual(rows, [0, 0, 0, 0, 0, 0, 0, 255, 0]);
});

test("numbers and bars", (t) => {
	t.deepEqual(
		[0, 12, 0.0344, 1234567, 0.00002, 2208.4, -3.1463].map(formatNumber),
		[
			"0",
			"12",
			"0.0344",
			"1\u202f234\u202f567",
			"0.00002",
			"2\u202f208",
			"-3.15",
		],
	);
	t.is(formatNumber(null), "unknown");
	t.deepEqual(
		[barWidth(1, 4), barWidth(0, 4), barWidth(1e-9, 4), barWidth(1, 0)],
		["25.0%", "0", "0.8%", "0"],
	);
});
