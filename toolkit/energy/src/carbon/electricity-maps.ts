import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { getJson, type HttpOptions, untilNext } from "./http.ts";
import { type CarbonSource, type Series, valueAt } from "./source.ts";

export const ELECTRICITY_MAPS = "https://api.electricitymaps.com";

const HOUR = 3_600_000;
const value = z.number().nullable();
const Point = z.object({ datetime: z.string(), carbonIntensity: value });
const Latest = Point;
const Forecast = z.object({
	updatedAt: z.string().nullish(),
	forecast: z.array(Point),
});
const Past = z.object({ data: z.array(Point) });

/**
 * Electricity Maps, API v3: average intensity by life cycle, hourly.
 * https://portal.electricitymaps.com/docs
 * @param zone "DE", "US-CAL-CISO"
 * @param token from the environment; sent as a header, never logged
 */
export function electricityMaps(
	zone: string,
	token: string | undefined,
	http: HttpOptions,
): CarbonSource {
	const name = `electricitymaps:${zone}`;
	const ask = <T>(path: string, shape: z.ZodType<T>, signal?: AbortSignal) => {
		if (!token)
			throw new WattvoxError(
				"E_KEY",
				`${name} needs ELECTRICITYMAPS_TOKEN in the environment`,
			);
		return getJson(name, path, shape, { "auth-token": token }, http, signal);
	};
	const query = (more: Record<string, string> = {}) =>
		new URLSearchParams({ zone, ...more }).toString();
	const series = (
		points: readonly z.infer<typeof Point>[],
		issuedAt: number | null,
	): Series => ({
		source: name,
		unit: "gCO2e/kWh",
		kind: "average",
		issuedAt,
		points: untilNext(
			points.map((p) => ({
				at: Date.parse(p.datetime),
				value: p.carbonIntensity,
			})),
			HOUR,
		),
	});
	const past = async (from: Date, to: Date, signal?: AbortSignal) => {
		// Rows are whole hours: the one that `from` lies in is asked for too.
		const start = new Date(from.getTime() - HOUR).toISOString();
		const path = `/v3/carbon-intensity/past-range?${query({ start, end: to.toISOString() })}`;
		return series((await ask(path, Past, signal)).data, null);
	};
	return {
		name,
		async intensity(at, signal) {
			if (Math.abs(at.getTime() - http.clock.wall()) > HOUR)
				return valueAt(
					await past(at, new Date(at.getTime() + HOUR), signal),
					at.getTime(),
				);
			const path = `/v3/carbon-intensity/latest?${query()}`;
			return (await ask(path, Latest, signal)).carbonIntensity;
		},
		async forecast(from, to, signal) {
			const hours = (to.getTime() - from.getTime()) / HOUR;
			const horizon = [6, 24, 48].find((h) => h >= hours) ?? 72;
			const path = `/v3/carbon-intensity/forecast?${query({ horizonHours: String(horizon) })}`;
			const found = await ask(path, Forecast, signal);
			const issued = Date.parse(found.updatedAt ?? "");
			return series(found.forecast, Number.isNaN(issued) ? null : issued);
		},
		history: past,
	};
}
