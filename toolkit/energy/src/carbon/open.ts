import { type Clock, systemClock, WattvoxError } from "@wattvox/core";
import { fileSource } from "./csv.ts";
import { ELECTRICITY_MAPS, electricityMaps } from "./electricity-maps.ts";
import { type CarbonSource, fixedCarbon, UNKNOWN_CARBON } from "./source.ts";
import { UK, ukCarbon } from "./uk.ts";
import { WATT_TIME, wattTime } from "./watt-time.ts";

/** The names that {@link openCarbonSource} takes, for help texts. */
export const CARBON_SOURCES =
	"electricitymaps:ZONE, watttime:REGION, uk, csv:FILE, fixed:G (g/kWh), unknown";

export interface OpenCarbonOptions {
	/** Holds keys (ELECTRICITYMAPS_TOKEN, WATTTIME_USER, WATTTIME_PASSWORD) and WATTVOX_CARBON_URL. */
	env?: NodeJS.ProcessEnv;
	clock?: Clock;
	timeoutMs?: number;
}

/**
 * Opens a carbon source by its name; nothing is asked yet. WATTVOX_CARBON_URL in the environment stands
 * in for a service's own address.
 * @throws WattvoxError E_USAGE for any other name
 */
export function openCarbonSource(
	name: string,
	options: OpenCarbonOptions = {},
): CarbonSource {
	const { env = process.env, clock = systemClock, timeoutMs } = options;
	const [, kind, rest] = /^([a-z]+)(?::(.+))?$/.exec(name) ?? [];
	const http = (own: string) => ({
		baseUrl: (env.WATTVOX_CARBON_URL || own).replace(/\/+$/, ""),
		clock,
		...(timeoutMs !== undefined && { timeoutMs }),
	});
	if (kind === "unknown" && !rest) return UNKNOWN_CARBON;
	if (kind === "uk" && !rest) return ukCarbon(http(UK));
	if (kind === "fixed" && /^\d+(\.\d+)?$/.test(rest ?? ""))
		return fixedCarbon(name, Number(rest));
	if (kind === "csv" && rest)
		return fileSource(name, rest, { unit: "gCO2e/kWh", kind: "average" });
	if (kind === "electricitymaps" && rest)
		return electricityMaps(
			rest,
			env.ELECTRICITYMAPS_TOKEN,
			http(ELECTRICITY_MAPS),
		);
	if (kind === "watttime" && rest)
		return wattTime(
			rest,
			{ user: env.WATTTIME_USER, password: env.WATTTIME_PASSWORD },
			http(WATT_TIME),
		);
	throw new WattvoxError(
		"E_USAGE",
		`carbon source "${name}" is none of ${CARBON_SOURCES}`,
	);
}

/**
 * Opens a tariff: csv:FILE, money per kWh by moment or by time of day.
 * @throws WattvoxError E_USAGE
 */
export function openTariff(name: string): CarbonSource {
	const file = /^csv:(.+)$/.exec(name)?.[1];
	if (!file)
		throw new WattvoxError("E_USAGE", `tariff "${name}" is not csv:FILE`);
	return fileSource(name, file, { unit: "per kWh", kind: "price" });
}
