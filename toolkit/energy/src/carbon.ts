import { WattvoxError } from "@wattvox/core";

/** How much carbon dioxide a kilowatt-hour costs. Forecasts and live services join this port later. */
export interface CarbonSource {
	/** Where the figure comes from, printed beside it. */
	readonly name: string;
	/** Grams of CO2-equivalent per kWh at a moment, or null when that is not known. Never 0 for unknown. */
	intensity(at: Date, signal?: AbortSignal): Promise<number | null>;
}

export const UNKNOWN_CARBON: CarbonSource = {
	name: "unknown",
	intensity: async () => null,
};

/**
 * Opens a carbon source by its name: `fixed:G` with G in g/kWh, or `unknown`.
 * @throws WattvoxError E_USAGE for anything else
 */
export function openCarbonSource(name: string): CarbonSource {
	if (name === "unknown") return UNKNOWN_CARBON;
	const fixed = /^fixed:(\d+(?:\.\d+)?)$/.exec(name);
	if (!fixed)
		throw new WattvoxError(
			"E_USAGE",
			`carbon source "${name}" is neither fixed:G (g/kWh) nor unknown`,
		);
	const grams = Number(fixed[1]);
	return { name, intensity: async () => grams };
}
