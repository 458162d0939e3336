import { formatSeconds, table } from "@wattvox/core";
import type { Series } from "@wattvox/energy";
import { Curve } from "./curve.ts";
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
		/** What the unit is the sum of: a column for each. */
		parts?: readonly Series[];
		timezone?: string;
	},
): string {
	const at = (moment: number) =>
		formatMoment(moment, about.now, about.timezone);
	const parts = (about.parts ?? []).map((series) => ({
		unit: series.unit,
		curve: new Curve(series),
	}));
	const meanOf = (curve: Curve, { segments }: Option) => {
		const sum = segments.reduce((all, s) => all + curve.sum(s), 0);
		const mean = sum / (totalSeconds(segments) * 1000);
		return Number.isFinite(mean) ? mean : null;
	};
	const row = (o: Option) => [
		o === chosen ? `> ${o.name}` : `  ${o.name}`,
		at(o.segments[0]?.from ?? about.now),
		`${at(o.segments.at(-1)?.to ?? about.now)}${o.inTime ? "" : " (late)"}`,
		o.segments.length > 1 ? String(o.segments.length - 1) : "",
		...parts.map(({ curve }) => amount(meanOf(curve, o))),
		amount(o.mean),
		o.name === "now" ? "" : percent(o.saving),
	];
	const right = ["right", "right", "right"] as const;
	const lines = [
		`${formatSeconds(about.seconds)} of work, to be done by ${at(about.deadline)}.`,
		table(
			[
				...["", "begins", "ends", "pauses"],
				...parts.map(({ unit }) => unit),
				...[about.unit ?? "cost", "saves"],
			],
			options.map(row),
			["left", "left", "left", ...right, ...parts.map(() => "right" as const)],
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

/**
 * The saving in one sentence, and one more for each of what its unit is the sum of.
 */
export function formatSaving(
	saving: Saving | undefined,
	parts: readonly Saving[] = [],
): string {
	if (parts.length > 0)
		return [saving, ...parts].map((s) => formatSaving(s)).join("\n");
	if (!saving)
		return "What waiting saved is not known: the figures for the time it ran are missing.";
	const { ran, atOnce, share, saved, kWh, measured, unit, basis } = saving;
	const label = measured ? "" : "est. ";
	const what = unit.startsWith("g")
		? "g CO2e"
		: unit.endsWith("carbon")
			? "of the tariff's money, carbon at its price"
			: "of the tariff's money";
	// Sums of the same figures in another order differ in their last digit: that is no cost.
	const none = Math.abs(share) < 1e-9;
	const word = none || share > 0 ? "saved" : "cost";
	return [
		`Against running at once, waiting ${word} ${percent(Math.abs(share))}: ${amount(ran)} instead of ${amount(atOnce)} ${unit}`,
		saved === null
			? ", the energy is unknown"
			: `, ${label}${amount(none ? 0 : Math.abs(saved))} ${what} on ${label}${amount(kWh)} kWh`,
		basis === "found" ? " (figures of what happened)." : " (by the forecast).",
	].join("");
}
