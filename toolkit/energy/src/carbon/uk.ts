import { z } from "zod";
import { getJson, type HttpOptions } from "./http.ts";
import { type CarbonSource, type Series, valueAt } from "./source.ts";

export const UK = "https://api.carbonintensity.org.uk";

const HALF_HOUR = 1_800_000;
const Answer = z.object({
	data: z.array(
		z.object({
			from: z.string(),
			to: z.string(),
			intensity: z.object({
				forecast: z.number().nullable(),
				actual: z.number().nullable(),
			}),
		}),
	),
});

/**
 * The Carbon Intensity API of Great Britain's grid operator: average intensity by half-hours, 48 h
 * ahead, without a key. https://carbon-intensity.github.io/api-definitions
 */
export function ukCarbon(http: HttpOptions): CarbonSource {
	const name = "uk";
	const ask = async (
		from: Date,
		to: Date,
		which: "forecast" | "actual",
		signal?: AbortSignal,
	): Promise<Series> => {
		const text = (at: Date) => `${at.toISOString().slice(0, 16)}Z`;
		// The half-hour that contains `from` is answered only when it is asked for from its start.
		const start = new Date(Math.floor(from.getTime() / HALF_HOUR) * HALF_HOUR);
		const path = `/intensity/${text(start)}/${text(to)}`;
		const { data } = await getJson(name, path, Answer, {}, http, signal);
		return {
			source: name,
			unit: "gCO2e/kWh",
			kind: "average",
			issuedAt: null,
			points: data
				.map((p) => ({
					from: Date.parse(p.from),
					to: Date.parse(p.to),
					// What happened is known late; until then the forecast stands for it.
					value:
						which === "actual"
							? (p.intensity.actual ?? p.intensity.forecast)
							: p.intensity.forecast,
				}))
				.filter((p) => p.from < p.to)
				.toSorted((a, b) => a.from - b.from),
		};
	};
	return {
		name,
		intensity: async (at, signal) =>
			valueAt(
				await ask(at, new Date(at.getTime() + HALF_HOUR), "actual", signal),
				at.getTime(),
			),
		forecast: (from, to, signal) => ask(from, to, "forecast", signal),
		history: (from, to, signal) => ask(from, to, "actual", signal),
	};
}
