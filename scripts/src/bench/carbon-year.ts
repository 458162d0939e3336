import { readFile } from "node:fs/promises";
import { Curve } from "@wattvox/cloud-trainer";
import { WattvoxError } from "@wattvox/core";
import { parseSeries, tablePoints } from "@wattvox/energy";
import { seededRandom } from "@wattvox/models";

export const HOUR = 3_600_000;
const HOURS = 8760;

/** A year of carbon intensity, hour by hour. */
export interface Year {
	name: string;
	/** Milliseconds since 1970 of the first hour. */
	start: number;
	/** gCO2e/kWh. */
	values: number[];
}

/** Independent normal numbers (Box and Muller). */
export function normals(seed: number): () => number {
	const random = seededRandom(seed);
	return () =>
		Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/**
 * A year made up: a grid with sun and wind at about 50 degrees north. Hour h of day d:
 *
 *   260 + 35 cos(2 pi (d - 15) / 365)                     winter
 *     + 30 exp(-((h - 8) / 2)^2) + 55 exp(-((h - 19) / 3)^2)   morning and evening
 *     - 130 s(d) max(0, sin(pi (h - 6) / 12)) c(d)        sun: s 0.35..1 by season, c 0.3..1 by cloud
 *     - 25 on Saturday and Sunday
 *     + w,  w' = 0.985 w + N(0, 11)                       wind (stationary deviation 64)
 *
 * and never below 30. It is no country's; only a stand-in when no measured series is at hand.
 */
export function syntheticYear(seed = 1): Year {
	const start = Date.UTC(2025, 0, 1);
	const random = seededRandom(seed);
	const normal = normals(seed + 1);
	const values: number[] = [];
	let wind = 0;
	let cloud = 0.65;
	for (let i = 0; i < HOURS; i++) {
		const [d, h] = [Math.floor(i / 24), i % 24];
		if (h === 0) cloud = 0.3 + 0.7 * random();
		wind = 0.985 * wind + 11 * normal();
		const season = 0.675 + 0.325 * Math.cos((2 * Math.PI * (d - 172)) / 365);
		const weekday = new Date(start + i * HOUR).getUTCDay();
		const value =
			260 +
			35 * Math.cos((2 * Math.PI * (d - 15)) / 365) +
			30 * Math.exp(-(((h - 8) / 2) ** 2)) +
			55 * Math.exp(-(((h - 19) / 3) ** 2)) -
			130 * season * Math.max(0, Math.sin((Math.PI * (h - 6)) / 12)) * cloud -
			(weekday === 0 || weekday === 6 ? 25 : 0) +
			wind;
		values.push(Math.max(30, value));
	}
	return { name: `synthetic, seed ${seed}`, start, values };
}

/**
 * A year from a CSV file, as means over whole hours; hours that it does not know are taken from the
 * same hour of the day before.
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT
 */
export async function yearFromFile(path: string): Promise<Year> {
	const text = await readFile(path, "utf8").catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `cannot read ${path}`, { cause });
	});
	const table = parseSeries(text, path);
	const [first, last] = [table.rows[0]?.at ?? 0, table.rows.at(-1)?.at ?? 0];
	const curve = new Curve({
		source: path,
		unit: "gCO2e/kWh",
		kind: "average",
		issuedAt: null,
		points: tablePoints(table, first, last + HOUR),
	});
	const values: number[] = [];
	for (let at = first; at + HOUR <= last && values.length < HOURS; at += HOUR) {
		const hour = { from: at, to: at + HOUR };
		const known = curve.known(hour) > 0.5;
		const value = known ? curve.mean(hour) : values.at(-24);
		if (value === null || value === undefined)
			throw new WattvoxError("E_FILE_FORMAT", `${path} begins with a hole`);
		values.push(value);
	}
	return { name: path.replace(/^.*\//, ""), start: first, values };
}

/**
 * Forecasts that are wrong the way forecasts are: surprises arrive hour by hour and fade.
 *
 *   forecast at t of hour k = truth(k) * exp(-E),  E = sum over j = t+1..k of 0.95^(k-j) e_j,  e ~ N(0, sigma)
 *
 * An hour ahead it is off by sigma, a day ahead by 3.1 sigma, at last by 3.2; each new forecast knows
 * one surprise more. sigma = 0.035 makes a mean absolute error of 8.6 % a day ahead; day-ahead errors of
 * 3 to 19 % by grid are reported for CarbonCast (Maji et al., BuildSys 2022).
 */
export class NoisyForecast {
	readonly #year: Year;
	readonly #surprises: Float64Array;

	constructor(year: Year, sigma: number, seed: number) {
		this.#year = year;
		const normal = normals(seed);
		this.#surprises = Float64Array.from(year.values, () => sigma * normal());
	}

	/** Hours from the one that begins at hour `at`, which is known as it is. */
	from(at: number, hours: number): number[] {
		const out: number[] = [];
		let error = 0;
		for (let k = at; k < Math.min(at + hours, this.#year.values.length); k++) {
			if (k > at) error = 0.95 * error + (this.#surprises[k] as number);
			out.push((this.#year.values[k] as number) * Math.exp(-error));
		}
		return out;
	}
}
