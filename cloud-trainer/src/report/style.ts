/** The page's style. Colours are variables, so that dark mode is one block. */
export const STYLE = `
:root {
	color-scheme: light dark;
	--paper: #faf9f6; --card: #fff; --ink: #1d1c1a; --quiet: #6a675f; --line: #e4e1d9;
	--time: #3f5f8a; --energy: #b4650d; --good: #2c7a4b; --bad: #b3372f;
	--s0: #3f5f8a; --s1: #b4650d; --s2: #2c7a4b; --s3: #8a4a86;
	--focus: #2f6fd0;
}
@media (prefers-color-scheme: dark) {
	:root {
		--paper: #131316; --card: #1b1b1f; --ink: #eceae4; --quiet: #9d9a92; --line: #303036;
		--time: #86a9da; --energy: #e5a04b; --good: #6fc28f; --bad: #ee8379;
		--s0: #86a9da; --s1: #e5a04b; --s2: #6fc28f; --s3: #cf93ca;
		--focus: #7eaaf0;
	}
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
	margin: 0; background: var(--paper); color: var(--ink);
	font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
	font-variant-numeric: tabular-nums;
}
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 clamp(1rem, 4vw, 2.5rem); }
header { padding-top: clamp(2.5rem, 7vw, 5rem); }
h1 { font-size: clamp(2rem, 6vw, 3.2rem); line-height: 1.08; letter-spacing: -.025em; font-weight: 650; margin: 0 0 .6rem; text-wrap: balance; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; letter-spacing: -.01em; font-weight: 620; margin: 0 0 .25rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 0; }
p { margin: 0 0 .6rem; }
.eyebrow { color: var(--quiet); font-size: .85rem; margin: 0 0 1rem; }
.lead { font-size: 1.13rem; color: var(--quiet); max-width: 44rem; text-wrap: pretty; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); }
section { margin-top: clamp(2.5rem, 6vw, 4rem); }
section > .quiet { max-width: 44rem; }
.headline { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 9.5rem), 1fr)); gap: 1rem 1.5rem; margin: 2rem 0 0; padding: 1.4rem 0; border-block: 1px solid var(--line); }
.headline div { display: flex; flex-direction: column-reverse; justify-content: flex-end; }
.headline dt { color: var(--quiet); font-size: .88rem; }
.headline dd { margin: 0; font-size: clamp(1.5rem, 4vw, 2rem); font-weight: 620; letter-spacing: -.02em; line-height: 1.2; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 27rem), 1fr)); gap: 1rem; margin-top: 1.1rem; }
.card, .chart { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; margin: 0; min-width: 0; overflow: hidden; }
.card { display: flex; flex-direction: column; }
.card-text { padding: .95rem 1.1rem .5rem; }
.card blockquote { margin: .2rem 0 0; color: var(--quiet); overflow-wrap: anywhere; }
.card img { display: block; height: 9rem; max-width: 100%; }
.sound { position: relative; background: rgb(16 17 28); }
.head { position: absolute; inset: 0 auto 0 0; width: 2px; margin-left: -1px; background: #fff; opacity: 0; pointer-events: none; }
.playing .head, .begun .head { opacity: .9; }
.player { margin-top: auto; display: flex; align-items: center; gap: .8rem; padding: .7rem 1.1rem; }
.player audio { width: 100%; height: 2.4rem; }
.player button {
	flex: none; width: 2.6rem; height: 2.6rem; border-radius: 50%; border: 0; padding: 0;
	background: var(--ink); color: var(--card); cursor: pointer; display: grid; place-items: center;
}
.player button svg { width: 1.05rem; height: 1.05rem; fill: currentColor; }
.player .pause, .playing .player .play { display: none; }
.playing .player .pause { display: block; }
.player input { flex: 1; min-width: 3rem; accent-color: var(--ink); height: 1.6rem; }
.player output { color: var(--quiet); font-size: .85rem; min-width: 6.2em; text-align: right; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: .25rem; }
.player button:focus-visible { border-radius: 50%; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem; margin-top: 1.1rem; }
.chart { padding: .95rem 1.1rem .6rem; }
.chart svg { display: block; width: 100%; height: auto; margin-top: .5rem; }
.chart text { fill: var(--quiet); font-size: 11px; font-family: inherit; }
.chart .grid { stroke: var(--line); }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); stroke-dasharray: 6 4; }
.line.s2 { stroke: var(--s2); stroke-dasharray: 2 4; } .line.s3 { stroke: var(--s3); stroke-dasharray: 9 3 2 3; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: .25rem 0 0; padding: 0; font-size: .88rem; color: var(--quiet); }
.legend b { color: var(--ink); font-weight: 600; }
.swatch { display: inline-block; width: 1.3em; margin-right: .45em; vertical-align: .25em; border-top: 2.5px solid var(--s0); }
.s1 .swatch { border-top: 2.5px dashed var(--s1); } .s2 .swatch { border-top: 2.5px dotted var(--s2); } .s3 .swatch { border-top: 2.5px dashed var(--s3); }
table { width: 100%; border-collapse: collapse; margin-top: 1.1rem; }
th, td { text-align: left; padding: .65rem 1rem .65rem 0; border-bottom: 1px solid var(--line); vertical-align: top; font-weight: 400; overflow-wrap: anywhere; }
thead th { color: var(--quiet); font-size: .85rem; padding-block: .3rem; white-space: nowrap; }
tbody th, tfoot th { font-weight: 600; }
tfoot th, tfoot td { border-bottom: 0; font-weight: 620; }
.wide, tfoot .wide { color: var(--quiet); font-weight: 400; }
td:last-child, th:last-child { padding-right: 0; }
.amount { width: 27%; }
.bar { display: block; height: .42rem; border-radius: .21rem; margin-top: .4rem; min-width: 2px; }
.bar.time { background: var(--time); }
.bar.energy { background: var(--energy); }
.bar.estimated { background: repeating-linear-gradient(-45deg, var(--energy) 0 2px, transparent 2px 5px); outline: 1px solid var(--energy); outline-offset: -1px; }
.tag { display: inline-block; font-size: .74rem; line-height: 1; padding: .22em .5em .25em; border-radius: 1em; border: 1px solid currentColor; color: var(--quiet); margin-left: .5em; vertical-align: .1em; white-space: nowrap; font-weight: 400; }
.tag.measured { color: var(--good); } .tag.estimated { color: var(--energy); }
.met { color: var(--good); } .missed { color: var(--bad); }
.facts { display: grid; grid-template-columns: fit-content(40%) minmax(0, 1fr); gap: .35rem 1.6rem; margin: 1.1rem 0 0; }
.facts dt { color: var(--quiet); overflow-wrap: anywhere; } .facts dd { margin: 0; overflow-wrap: anywhere; }
.notes { max-width: 46rem; padding-left: 1.15em; margin: 1rem 0 0; } .notes li { margin-bottom: .5rem; overflow-wrap: anywhere; }
footer { color: var(--quiet); font-size: .85rem; padding-block: 3rem 2.5rem; }
@media (max-width: 44rem) {
	thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
	table, tbody, tfoot { display: block; }
	tr { display: grid; grid-template-columns: 1fr 1fr; gap: .15rem 1rem; padding: .8rem 0; border-bottom: 1px solid var(--line); }
	tfoot tr { border-bottom: 0; }
	.wide { margin-top: .4rem; } .wide:empty { display: none; }
	.results tr { grid-template-columns: 2fr 2fr 1fr; }
	th, td { border: 0; padding: 0; }
	tr > :first-child, tr > .wide { grid-column: 1 / -1; }
	td:not(.wide):not(:empty)::before { content: attr(data-label); display: block; color: var(--quiet); font-size: .8rem; font-weight: 400; }
	.amount { width: auto; }
	.facts { grid-template-columns: minmax(0, 1fr); gap: 0; } .facts dd { margin-bottom: .6rem; }
	.card-text { padding-inline: .9rem; } .player { padding-inline: .9rem; }
}
@media print { .player { display: none; } section { break-inside: avoid; } }
`;
