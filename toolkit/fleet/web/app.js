import { energyChart, speechChart } from "./charts.js";
import {
	ago,
	amount,
	count,
	duration,
	el,
	short,
	svg,
	three,
	wattHours,
} from "./dom.js";
import { voiceCard } from "./voices.js";

const $ = (id) => document.getElementById(id);
const STATES = {
	good: "where it should be",
	busy: "on its way",
	wrong: "needs a look",
	none: "nothing desired",
};

let span = "7d";
let offset = 0;
let summary;
let overview;
/** Names of voices by digest, as far as the store's bundles say them. */
const names = new Map();

/** "ada 3fa9c1d27be0" */
function voiceName(digest) {
	const name = names.get(digest);
	return name ? `${name} ${short(digest)}` : short(digest);
}

/** Asks the server; back to the login page when it does not know us any more. */
async function ask(path) {
	const response = await fetch(path, {
		headers: { accept: "application/json" },
	});
	if (response.status === 401) {
		location.assign("/login");
		return new Promise(() => undefined);
	}
	const body = await response.json();
	if (!response.ok) throw new Error(body.error ?? `status ${response.status}`);
	return body;
}

function trouble(text) {
	$("trouble").hidden = !text;
	$("trouble").textContent = text ?? "";
}

/** Runs what loads a part of the page, and says so when it fails. */
async function load(work) {
	try {
		await work();
		trouble();
	} catch (error) {
		trouble(`The server did not answer: ${error.message}`);
	}
}

function tile(name, value, note, mark) {
	return el(
		"div",
		{ class: mark ?? null },
		el("dt", {}, name),
		el("dd", {}, el("b", {}, value), el("span", { class: "quiet" }, note)),
	);
}

function showNow() {
	if (!summary) return;
	const s = summary;
	const today = overview?.today;
	const speech = overview?.byVoice.total;
	const wrong = s.byState.wrong;
	$("tiles").replaceChildren(
		tile(
			"Power now",
			s.watts === null ? "unknown" : amount(s.watts, "W"),
			s.watts === null
				? s.estimatedWatts === null
					? "no device reports its power"
					: `no sensor; estimated ${amount(s.estimatedWatts, "W")}`
				: `${count(s.measured)} of ${count(s.devices)} measured`,
		),
		tile(
			"Energy today",
			today ? wattHours(today.joules) : "…",
			today ? today.coverage : "",
		),
		tile(
			"Per second of speech",
			speech
				? `${three(speech.joulesPerAudioSecond)}${speech.joulesPerAudioSecond === null ? "" : " J"}`
				: "…",
			speech ? `${duration(speech.audioSeconds)} of speech, ${span}` : "",
		),
		tile("Online", `${count(s.online)} of ${count(s.devices)}`, "devices"),
		tile(
			"Needs a look",
			count(wrong),
			wrong === 0
				? "every device is where it should be"
				: `${count(s.byState.busy)} more on their way`,
			wrong === 0 ? "good" : "wrong",
		),
	);
}

function showEnergy() {
	const { byTime } = overview;
	const { total } = byTime;
	const charts = [
		energyChart(byTime.rows, "measured", total.joules, total.coverage),
	];
	if (total.estimatedJoules !== null)
		charts.push(
			energyChart(
				byTime.rows,
				"estimated",
				total.estimatedJoules,
				"by a model; never added to the measured",
			),
		);
	$("energy-body").replaceChildren(...charts);
}

function showSpeech() {
	$("speech-body").replaceChildren(
		speechChart("By voice", overview.byVoice.rows, (r) => voiceName(r.voice)),
		speechChart(
			"By device class",
			overview.byClass.rows,
			(r) => r.deviceClass ?? "not said",
		),
		speechChart(
			"By voice and device class",
			overview.byVoiceAndClass,
			(r) => `${voiceName(r.voice)} on ${r.deviceClass ?? "not said"}`,
			true,
		),
	);
}

function pill(state) {
	return el("span", { class: `pill ${state}` }, STATES[state]);
}

function deviceRow(d) {
	return el(
		"tr",
		{},
		el(
			"th",
			{ scope: "row" },
			d.device,
			el("span", { class: "quiet" }, d.fleet),
		),
		el(
			"td",
			{ "data-label": "State" },
			pill(d.state),
			d.why && el("span", { class: "why" }, d.why),
		),
		el("td", { "data-label": "Voice" }, el("code", {}, short(d.voice))),
		el("td", { "data-label": "Class" }, d.deviceClass ?? "not said"),
		el(
			"td",
			{ "data-label": "Power", class: "number" },
			d.watts === null
				? "unknown"
				: `${d.measured ? "" : "est. "}${amount(d.watts, "W")}`,
		),
		el(
			"td",
			{ "data-label": "Heard" },
			`${d.online === false ? "offline, " : ""}${ago(d.heardAt, summary?.at)}`,
		),
	);
}

async function showDevices() {
	const query = new URLSearchParams({
		search: $("search").value,
		state: $("state").value,
		offset,
	});
	const { devices, matching } = await ask(`/api/devices?${query}`);
	const heads = ["Device", "State", "Voice", "Class", "Power", "Heard"];
	const turn = (by, label, off) =>
		el(
			"button",
			{
				type: "button",
				disabled: off,
				onclick: () => {
					offset = Math.max(0, offset + by);
					load(showDevices);
				},
			},
			label,
		);
	// what has the focus is about to be replaced
	const focused = document.activeElement?.closest(
		"#devices-body button",
	)?.textContent;
	$("devices-body").replaceChildren(
		matching === 0
			? el("p", { class: "quiet empty" }, "No device fits.")
			: el(
					"table",
					{ class: "devices" },
					el(
						"caption",
						{ class: "hidden" },
						"Devices, those that need a look first",
					),
					el(
						"thead",
						{},
						el(
							"tr",
							{},
							heads.map((h) => el("th", { scope: "col" }, h)),
						),
					),
					el("tbody", {}, devices.map(deviceRow)),
				),
		el(
			"p",
			{ class: "pages" },
			turn(-20, "Previous", offset === 0),
			el(
				"span",
				{ class: "quiet", role: "status" },
				matching === 0
					? "0 devices"
					: `${count(offset + 1)} to ${count(offset + devices.length)} of ${count(matching)}`,
			),
			turn(20, "Next", offset + devices.length >= matching),
		),
	);
	if (focused)
		[...$("devices-body").querySelectorAll("button")]
			.find((b) => b.textContent === focused && !b.disabled)
			?.focus();
}

/** The interval of canary against control on a line, with the limit of no change. */
function interval({ ratio, low, high }) {
	const x = (r) => Math.max(2, Math.min(198, 100 + 330 * Math.log(r)));
	const percent = (r) =>
		`${r >= 1 ? "+" : "−"}${three(Math.abs(r - 1) * 100)} %`;
	return el(
		"span",
		{ class: "interval" },
		svg(
			"svg",
			{
				viewBox: "0 0 200 24",
				role: "img",
				"aria-label": `canary against control ${percent(ratio)}, 95 % interval ${percent(low)} to ${percent(high)}`,
			},
			svg("line", { class: "grid", x1: 100, x2: 100, y1: 2, y2: 22 }),
			svg("line", { class: "reach", x1: x(low), x2: x(high), y1: 12, y2: 12 }),
			svg("circle", { class: "dot", cx: x(ratio), cy: 12, r: 4.5 }),
		),
		el("span", { class: "quiet" }, `${percent(low)} to ${percent(high)}`),
	);
}

function rollout(r) {
	const { good, offered, failed, waiting } = r.counts;
	const all = good + offered + failed + waiting || 1;
	let at = 0;
	const piece = (kind, n) => {
		const rect = svg("rect", {
			class: kind,
			x: (100 * at) / all,
			width: (100 * n) / all,
			height: 8,
		});
		at += n;
		return rect;
	};
	return el(
		"article",
		{ class: "card" },
		el(
			"div",
			{ class: "head" },
			el("h3", {}, r.id, " ", el("code", {}, short(r.bundle))),
			el(
				"span",
				{
					class: `pill ${{ running: "busy", done: "good" }[r.status] ?? "wrong"}`,
				},
				r.status,
			),
		),
		el(
			"p",
			{},
			`Wave ${r.wave} of ${r.waves}. `,
			el("span", { class: "quiet" }, r.why),
		),
		svg(
			"svg",
			{
				viewBox: "0 0 100 8",
				preserveAspectRatio: "none",
				class: "progress",
				role: "img",
				"aria-label": `${good} good, ${offered} under way, ${failed} failed, ${waiting} waiting`,
			},
			piece("good", good),
			piece("busy", offered),
			piece("wrong", failed),
			piece("track", waiting),
		),
		el(
			"p",
			{ class: "quiet" },
			`${count(good)} good, ${count(offered)} under way, ${count(failed)} failed, ${count(waiting)} waiting`,
		),
		r.gates.length > 0 &&
			el(
				"ul",
				{ class: "gates" },
				r.gates.map((g) =>
					el(
						"li",
						{},
						el(
							"span",
							{
								class: `pill ${{ pass: "good", fail: "wrong" }[g.verdict] ?? "none"}`,
							},
							g.verdict,
						),
						el(
							"span",
							{},
							`${g.wave === 0 ? "Canary" : `Wave ${g.wave + 1}`}, ${g.gate}: ${g.why}`,
						),
						g.comparison ? interval(g.comparison) : null,
					),
				),
			),
		reasons("not where they should be", r.trouble),
		reasons("on their way", r.underWay),
	);
}

/** Devices, and why each is where it is. */
function reasons(what, devices) {
	return (
		devices.length > 0 &&
		el(
			"details",
			{},
			el("summary", {}, `${count(devices.length)} ${what}`),
			el(
				"ul",
				{ class: "trouble" },
				devices.map((d) => el("li", {}, el("b", {}, d.device), ` ${d.why}`)),
			),
		)
	);
}

async function showRollouts() {
	const rollouts = await ask("/api/rollouts");
	$("rollouts-body").replaceChildren(
		...(rollouts.length === 0
			? [
					el(
						"p",
						{ class: "quiet empty" },
						"None yet: wattvox rollout start begins one.",
					),
				]
			: rollouts.map(rollout)),
	);
}

async function showVoices() {
	const voices = await ask("/api/voices");
	for (const { bundle, voice } of voices) if (voice) names.set(bundle, voice);
	if (overview) showSpeech();
	$("voices-body").replaceChildren(
		...(voices.length === 0
			? [el("p", { class: "quiet empty" }, "No voice is known yet.")]
			: voices.map(voiceCard)),
	);
}

async function showOverview() {
	overview = await ask(`/api/overview?since=${span}`);
	summary = overview.now;
	showNow();
	showEnergy();
	showSpeech();
}

for (const button of document.querySelectorAll("[data-since]"))
	button.addEventListener("click", () => {
		span = button.dataset.since;
		for (const other of document.querySelectorAll("[data-since]"))
			other.setAttribute("aria-pressed", String(other === button));
		load(showOverview);
	});

let typing;
$("find").addEventListener("submit", (event) => event.preventDefault());
$("search").addEventListener("input", () => {
	clearTimeout(typing);
	typing = setTimeout(() => {
		offset = 0;
		load(showDevices);
	}, 200);
});
$("state").addEventListener("change", () => {
	offset = 0;
	load(showDevices);
});

function say(text, state) {
	if ($("live").textContent !== text) $("live").textContent = text;
	$("live").dataset.state = state;
}

const stream = new EventSource("/api/live");
let listed = 0;
stream.addEventListener("summary", (event) => {
	summary = JSON.parse(event.data);
	say("live", "on");
	showNow();
	if (Date.now() - listed < 5000 || document.hidden) return;
	listed = Date.now();
	load(showDevices);
	load(showRollouts);
});
stream.addEventListener("error", () => say("reconnecting", "off"));

load(showOverview);
load(showDevices);
load(showRollouts);
load(showVoices);
setInterval(() => {
	if (document.hidden) return;
	load(showOverview);
	load(showVoices);
}, 60_000);
