import type { SingleSource, SourceDescription, SumSource } from "./source.ts";

/**
 * Sensors of disjoint parts of one machine as one source.
 * @param parts at least two, each a measurement
 */
export function sumOf(parts: readonly SingleSource[]): SumSource {
	return {
		kind: "sum",
		parts,
		describe: () => describe(parts.map((p) => p.describe())),
		async close() {
			await Promise.all(parts.map((p) => p.close()));
		},
	};
}

function describe(parts: readonly SourceDescription[]): SourceDescription {
	return {
		sensor: parts.map((p) => p.sensor).join(" + "),
		rails: parts.flatMap((p) => p.rails),
		scope: parts.map((p) => `${p.sensor}: ${p.scope}`).join("; "),
		measured: parts.every((p) => p.measured),
		parts: parts.map(({ sensor, domain }) => ({
			sensor,
			...(domain && { domain }),
		})),
	};
}
