import { WattvoxError } from "@wattvox/core";
import { z } from "zod";
import type { LedgerSummary } from "./ledger-summary.ts";
import { SourceDescriptionSchema } from "./source.ts";

const amount = z.number().nonnegative().finite();
const Cost = {
	seconds: amount,
	/** Watt-hours over the covered part; null: unknown. */
	wattHours: amount.nullable(),
	/** Half-width of their 95 % interval: what sampling may have missed. null: unknown. */
	plusMinusWh: amount.nullable().default(null),
	/** Watt-hours above what the machine draws at rest; null: unknown. */
	aboveIdleWh: z.number().nullable().default(null),
	/** Share of the time that the watt-hours stand for, 0..1. */
	coverage: z.number().min(0).max(1),
	/** True only when every joule comes from a sensor. */
	measured: z.boolean(),
	sensor: z.string().min(1),
};

/** The energy passport in a bundle: what the voice cost to train. Unknown is null, never 0. */
export const EnergyPassportSchema = z.strictObject({
	version: z.literal(1),
	made: z.iso.datetime(),
	...Cost,
	method: z.enum(["measured", "estimated"]),
	/** Grams of CO2-equivalent: watt-hours / 1000 * intensity. */
	gramsCO2e: amount.nullable(),
	intensity: z.strictObject({
		gramsPerKWh: amount.nullable(),
		source: z.string().min(1),
	}),
	/** Work for this voice that none of the figures hold, since nobody measured it; none when absent. */
	without: z.array(z.string().min(1)).min(1).optional(),
	sources: z.array(SourceDescriptionSchema),
	/** A stage before the stages inside it, which are part of its figures. */
	stages: z.array(
		z.strictObject({
			path: z.array(z.string().min(1)).min(1),
			...Cost,
			gramsCO2e: amount.nullable(),
		}),
	),
});
export type EnergyPassport = z.infer<typeof EnergyPassportSchema>;

export interface PassportOptions {
	/** Carbon intensity in g/kWh, null when unknown, and where it comes from. */
	intensity?: EnergyPassport["intensity"];
	/** Work whose energy nobody knows, such as that of another machine: it is named, never 0. */
	without?: readonly string[];
	made?: Date;
}

/** The passport of a ledger. */
export function makePassport(
	summary: LedgerSummary,
	options: PassportOptions = {},
): EnergyPassport {
	const intensity = options.intensity ?? {
		gramsPerKWh: null,
		source: "unknown",
	};
	const cost = (part: LedgerSummary["total"]) => {
		const wattHours = part.joules === null ? null : part.joules / 3600;
		return {
			seconds: part.seconds,
			wattHours,
			plusMinusWh: part.plusMinus === null ? null : part.plusMinus / 3600,
			aboveIdleWh: part.aboveIdle && part.aboveIdle.joules / 3600,
			coverage: part.coverage,
			measured: part.measured,
			sensor: part.sensor,
			gramsCO2e:
				wattHours === null || intensity.gramsPerKWh === null
					? null
					: (wattHours / 1000) * intensity.gramsPerKWh,
		};
	};
	return EnergyPassportSchema.parse({
		version: 1,
		made: (options.made ?? new Date()).toISOString(),
		...cost(summary.total),
		method: summary.total.measured ? "measured" : "estimated",
		intensity,
		...(options.without?.length && { without: [...options.without] }),
		sources: summary.sources,
		stages: summary.stages.map((row) => ({ path: row.path, ...cost(row) })),
	});
}

/**
 * Reads a passport from a bundle's file.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parsePassport(json: string): EnergyPassport {
	let value: unknown;
	try {
		value = JSON.parse(json);
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", "the energy passport is no JSON", {
			cause,
		});
	}
	const parsed = EnergyPassportSchema.safeParse(value);
	if (!parsed.success)
		throw new WattvoxError(
			"E_FILE_FORMAT",
			`energy passport: ${z.prettifyError(parsed.error)}`,
		);
	return parsed.data;
}
