import { formatSeconds, table } from "@wattvox/core";
import { totalSeconds } from "./interval.ts";
import type { Option, Plan } from "./plan.ts";
import type { Saving } from "./saving.ts";

/** A moment in local time: "Wed 22:00", with the date when it is not within the week. */
export function formatMoment(
	at: number,
	now: number,
	timezone?: string,
): string {
	const far = Math.abs(at - now) > 6 * 86_400_000;
	return new Intl.DateTimeFormat("en-GB", {
		weekday: "short",
		hour: "2-digit",
		minute: "2-digit",
		...(far && { day: "numeric", month: "short" }),
		...(timezone !== undefined && { timeZone: timezone }),
	})
		.format(at)
		.replace(",", "");
}

const percent = (share: number | null) =>
	share === null ? "unknown" : `${(100 * share).toFixed(0)} %`;

const amount = (value: number | null) =>
	value === null ? "unknown" : Number(value.toPrecision(3)).toString();

/** The plan as one table, with the sentence that explains it and what is wrong with the forecast. */
export function formatPlan(
	{ chosen, options, why }: Plan,
	about: {
		now: number;
		deadline: number;
		seconds: number;
		unit: string | undefined;
		notes: readonly string[];
		timezone?: string;
	},
): string {
	const at = (moment: number) =>
		formatMoment(moment, about.now, about.timezone);
	const row = (o: Option) => [
		o === chosen ? `> ${o.name}` : `  ${o.name}`,
		at(o.segments[0]?.from ?? about.now),
		`${at(o.segments.at(-1)?.to ?? about.now)}${o.inTime ? "" : " (late)"}`,
		o.segments.length > 1 ? String(o.segments.length - 1) : "",
		amount(o.mean),
		o.name === "now" ? "" : percent(o.saving),
	];
	const lines = [
		`${formatSeconds(about.seconds)} of work, to be done by ${at(about.deadline)}.`,
		table(
			["", "begins", "ends", "pauses", about.unit ?? "cost", "saves"],
			options.map(row),
			["left", "left", "left", "right", "right", "right"],
		),
		why,
		...about.notes.map((note) => `Note: ${note}.`),
	];
	if (chosen.segments.length > 1)
		lines.push(
			`It runs ${chosen.segments.map((s) => `${at(s.from)} to ${at(s.to)}`).join(", ")}: ${formatSeconds(totalSeconds(chosen.segments))} in all.`,
		);
	return lines.join("\n");
}

/** The saving in one sentence. */
export function formatSaving(saving: Saving | undefined): string {
	if (!saving)
		return "What waiting saved is not known: the figures for the time it ran are missing.";
	const { ran, atOnce, share, saved, kWh, measured, unit, basis } = saving;
	const label = measured ? "" : "est. ";
	const what = unit.startsWith("g") ? "g CO2e" : "of the tariff's money";
	const word = share >= 0 ? "saved" : "cost";
	return [
		`Against running at once, waiting ${word} ${percent(Math.abs(share))}: ${amount(ran)} instead of ${amount(atOnce)} ${unit}`,
		saved === null
			? ", the energy is unknown"
			: `, ${label}${amount(Math.abs(saved))} ${what} on ${label}${amount(kWh)} kWh`,
		basis === "found" ? " (figures of what happened)." : " (by the forecast).",
	].join("");
}
