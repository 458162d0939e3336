import { asWattvoxError, WattvoxError } from "@wattvox/core";
import type { CarbonSource, Series, SeriesPoint } from "./source.ts";

/** Grams in a tonne. */
const TONNE = 1e6;

/**
 * A tariff and a carbon source as one price: what a kilowatt-hour costs, its carbon included.
 *
 *   price(t) = tariff(t) + carbon(t) / 1e6 * perTonne      money/kWh, gCO2e/kWh, money/t
 *
 * Where one of the two is not known the sum is not; where one of the two sources fails, the other
 * decides alone, and a note says so. Each series has both as its `parts`.
 * @param perTonne money per tonne of CO2e, in the tariff's money
 * @throws WattvoxError E_USAGE unless `perTonne` is above 0
 */
export function pricedCarbon(
	tariff: CarbonSource,
	carbon: CarbonSource,
	perTonne: number,
): CarbonSource {
	if (!(perTonne > 0 && Number.isFinite(perTonne)))
		throw new WattvoxError(
			"E_USAGE",
			"the price of carbon is money per tonne of CO2e, above 0",
		);
	const name = `${tariff.name} + ${carbon.name} at ${perTonne} per t`;
	const both = async (
		ask: "forecast" | "history",
		from: Date,
		to: Date,
		signal?: AbortSignal,
	): Promise<Series> => {
		const [money, grams] = await Promise.allSettled([
			tariff[ask](from, to, signal),
			carbon[ask](from, to, signal),
		]);
		signal?.throwIfAborted();
		const failed = [money, grams].filter((r) => r.status === "rejected");
		if (failed.length === 2) throw failed[0]?.reason;
		const notes = failed.map(
			(r) => `${asWattvoxError(r.reason).message}; the other decides alone`,
		);
		const parts = [money, grams].flatMap((r) =>
			r.status === "fulfilled" ? [r.value] : [],
		);
		const ages = parts.flatMap(({ issuedAt }) => issuedAt ?? []);
		const priced = parts.map((part) => ({
			points: part.points,
			factor: part.kind === "price" ? 1 : perTonne / TONNE,
		}));
		return {
			...{ source: name, unit: "per kWh with carbon", kind: "price" },
			// as old as the older of them
			issuedAt: ages.length > 0 ? Math.min(...ages) : null,
			points: sum(priced),
			parts,
			...(notes.length > 0 && { notes }),
		};
	};
	return {
		name,
		async intensity(at, signal) {
			const [money, grams] = await Promise.all([
				tariff.intensity(at, signal),
				carbon.intensity(at, signal),
			]);
			return money === null || grams === null
				? null
				: money + (grams / TONNE) * perTonne;
		},
		forecast: (from, to, signal) => both("forecast", from, to, signal),
		history: (from, to, signal) => both("history", from, to, signal),
	};
}

interface Scaled {
	points: readonly SeriesPoint[];
	factor: number;
}

/** The sum over each stretch in which none of them changes; holes of any are holes. */
function sum(scaled: readonly Scaled[]): SeriesPoint[] {
	const edges = [
		...new Set(scaled.flatMap((s) => s.points.flatMap((p) => [p.from, p.to]))),
	].sort((a, b) => a - b);
	const next = scaled.map(() => 0);
	return edges.slice(0, -1).flatMap((from, i) => {
		let value: number | null = 0;
		for (const [n, { points, factor }] of scaled.entries()) {
			while ((points[next[n] ?? 0]?.to ?? Number.POSITIVE_INFINITY) <= from)
				next[n] = (next[n] ?? 0) + 1;
			const point = points[next[n] ?? 0];
			const here = point && point.from <= from ? point.value : null;
			value = value === null || here === null ? null : value + here * factor;
		}
		return [{ from, to: edges[i + 1] as number, value }];
	});
}
