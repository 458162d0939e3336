import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { getJson, type HttpOptions, untilNext } from "./http.ts";
import { type CarbonSource, type Series, valueAt } from "./source.ts";

export const WATT_TIME = "https://api.watttime.org";

/** g/kWh of a lb/MWh: 453.59237 g per lb, 1000 kWh per MWh. */
const GRAMS = 0.45359237;
const HOUR = 3_600_000;
const Login = z.object({ token: z.string().min(1) });
const Answer = z.object({
	data: z.array(
		z.object({ point_time: z.string(), value: z.number().nullable() }),
	),
	meta: z.object({
		units: z.string(),
		generated_at: z.string().nullish(),
		data_point_period_seconds: z.number().nullish(),
	}),
});

/** Who asks. Both from the environment, never logged. */
export interface WattTimeLogin {
	user: string | undefined;
	password: string | undefined;
}

/**
 * WattTime, API v3: marginal operating emissions, every five minutes.
 * https://docs.watttime.org
 * @param region "CAISO_NORTH"
 */
export function wattTime(
	region: string,
	{ user, password }: WattTimeLogin,
	http: HttpOptions,
): CarbonSource {
	const name = `watttime:${region}`;
	/** Tokens hold for 30 minutes. */
	let token: { text: string; until: number } | undefined;
	const login = async (signal?: AbortSignal) => {
		if (!user || !password)
			throw new WattvoxError(
				"E_KEY",
				`${name} needs WATTTIME_USER and WATTTIME_PASSWORD in the environment`,
			);
		if (token && http.clock.wall() < token.until) return token.text;
		const basic = Buffer.from(`${user}:${password}`).toString("base64");
		const headers = { authorization: `Basic ${basic}` };
		const given = await getJson(name, "/login", Login, headers, http, signal);
		token = { text: given.token, until: http.clock.wall() + 25 * 60_000 };
		return token.text;
	};
	const ask = async (
		what: string,
		more: Record<string, string>,
		signal?: AbortSignal,
	): Promise<Series> => {
		const bearer = await login(signal);
		const query = new URLSearchParams({
			region,
			signal_type: "co2_moer",
			...more,
		});
		const headers = { authorization: `Bearer ${bearer}` };
		const path = `/v3/${what}?${query}`;
		const found = await getJson(name, path, Answer, headers, http, signal);
		if (found.meta.units !== "lbs_co2_per_mwh")
			throw new WattvoxError(
				"E_CARBON",
				`${name} answered in ${found.meta.units}, which is not known here`,
			);
		const issued = Date.parse(found.meta.generated_at ?? "");
		return {
			source: name,
			unit: "gCO2e/kWh",
			kind: "marginal",
			issuedAt: Number.isNaN(issued) ? null : issued,
			points: untilNext(
				found.data.map((p) => ({
					at: Date.parse(p.point_time),
					value: p.value === null ? null : p.value * GRAMS,
				})),
				(found.meta.data_point_period_seconds ?? 300) * 1000,
			),
		};
	};
	const history = (from: Date, to: Date, signal?: AbortSignal) =>
		ask(
			"historical",
			{ start: from.toISOString(), end: to.toISOString() },
			signal,
		);
	return {
		name,
		async intensity(at, signal) {
			if (at.getTime() < http.clock.wall() - HOUR)
				return valueAt(
					await history(at, new Date(at.getTime() + HOUR), signal),
					at.getTime(),
				);
			const soon = await ask("forecast", { horizon_hours: "1" }, signal);
			return valueAt(soon, at.getTime());
		},
		forecast(from, to, signal) {
			const hours = Math.ceil((to.getTime() - from.getTime()) / HOUR);
			const horizon = String(Math.min(72, Math.max(1, hours)));
			return ask("forecast", { horizon_hours: horizon }, signal);
		},
		history,
	};
}
