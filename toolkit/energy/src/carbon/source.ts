/** One stretch of a forecast. Times are milliseconds since 1970, `to` is not part of it. */
export interface SeriesPoint {
	from: number;
	to: number;
	/** In the series's unit; null: not known. */
	value: number | null;
}

/** What is expected of the hours to come, or was found of hours past. */
export interface Series {
	/** Where it comes from, printed beside every figure. */
	source: string;
	/** "gCO2e/kWh", or a tariff's "per kWh". */
	unit: string;
	/**
	 * average: of all power in the grid; marginal: of the power plant that answers to a change of load.
	 * They differ by factors and are never compared.
	 */
	kind: "average" | "marginal" | "price";
	/** When it was made, milliseconds since 1970; null: it does not say, or does not age. */
	issuedAt: number | null;
	/** In order of time; none overlap; there may be holes. */
	points: SeriesPoint[];
	/** What it is the sum of, each in its own unit, where it is one. */
	parts?: Series[];
	/** What whoever plans by it must know. */
	notes?: string[];
}

/** How much carbon dioxide a kilowatt-hour costs, now and later. */
export interface CarbonSource {
	/** Where the figure comes from, printed beside it. Holds no secret. */
	readonly name: string;
	/** Grams of CO2-equivalent per kWh at a moment, or null when that is not known. Never 0 for unknown. */
	intensity(at: Date, signal?: AbortSignal): Promise<number | null>;
	/**
	 * What is expected between two moments, as far as it is known.
	 * @throws WattvoxError E_CARBON (no answer, or not the documented one), E_KEY (no key in the environment), E_FILE_MISSING, E_FILE_FORMAT
	 */
	forecast(from: Date, to: Date, signal?: AbortSignal): Promise<Series>;
	/** What it was between two moments, as far as it is known by now. Throws as {@link forecast}. */
	history(from: Date, to: Date, signal?: AbortSignal): Promise<Series>;
}

/** The value at a moment, null where the series does not know. */
export function valueAt({ points }: Series, at: number): number | null {
	return points.find((p) => p.from <= at && at < p.to)?.value ?? null;
}

const NOWHERE = { unit: "gCO2e/kWh", kind: "average", issuedAt: null } as const;

export const UNKNOWN_CARBON: CarbonSource = {
	name: "unknown",
	intensity: async () => null,
	forecast: async () => ({ source: "unknown", ...NOWHERE, points: [] }),
	history: async () => ({ source: "unknown", ...NOWHERE, points: [] }),
};

/** The same intensity at all times. @param grams gCO2e/kWh */
export function fixedCarbon(name: string, grams: number): CarbonSource {
	const series = async (from: Date, to: Date): Promise<Series> => ({
		source: name,
		...NOWHERE,
		points: [{ from: from.getTime(), to: to.getTime(), value: grams }],
	});
	return {
		name,
		intensity: async () => grams,
		forecast: series,
		history: series,
	};
}
