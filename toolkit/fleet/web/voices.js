import { valueTable } from "./charts.js";
import { amount, duration, el, short, three } from "./dom.js";

const SIGNED = {
	trusted: "trusted key",
	unknown: "unknown key",
	bad: "bad signature: not shown",
};

/** "est. 1.93 ± 0.04 J" */
function figure(value, measured) {
	if (!value) return "unknown";
	const about = value.plusMinus === null ? "unknown" : three(value.plusMinus);
	return `${measured ? "" : "est. "}${three(value.value)} ± ${about} J`;
}

function training({ training, attestations }) {
	if (!training) return "The store has no bundle of this voice.";
	const how = training.measured ? "" : "est. ";
	const known = (value, unit) =>
		value === null ? "unknown" : `${how}${amount(value, unit)}`;
	const one = attestations.find((a) => a.trainingInSpeechSeconds !== null);
	const speech =
		one &&
		`: as much as ${one.measured && training.measured ? "" : "est. "}${duration(one.trainingInSpeechSeconds)} of speech on ${one.deviceClass}`;
	return `Training took ${known(training.wattHours, "Wh")}${speech ?? ""}. CO2e ${known(training.gramsCO2e, "g")}.`;
}

/** A voice: its energy passport, and what devices measured of it since. */
export function voiceCard(v) {
	return el(
		"article",
		{ class: "card" },
		el(
			"div",
			{ class: "head" },
			el(
				"h4",
				{},
				v.voice ?? "unknown voice",
				" ",
				el("code", {}, short(v.bundle)),
			),
		),
		el("p", {}, training(v)),
		v.attestations.length === 0
			? el("p", { class: "quiet" }, "No device has measured it yet.")
			: valueTable(
					[
						"Device class",
						"Per second of speech",
						"Above idle",
						"Power mode",
						"Temperature",
						"Sensor",
						"Signed by",
					],
					v.attestations.map((a) => [
						a.deviceClass + (a.device ? `, ${a.device}` : ""),
						a.signature === "bad" ? "" : figure(a.gross, a.measured),
						a.signature === "bad" ? "" : figure(a.marginal, a.measured),
						a.powerMode ?? "unknown",
						a.temperatureC
							? `${three(a.temperatureC.before)} to ${three(a.temperatureC.after)} °C`
							: "unknown",
						a.sensor,
						SIGNED[a.signature],
					]),
					`What devices measured of ${v.voice ?? short(v.bundle)}`,
				),
	);
}
