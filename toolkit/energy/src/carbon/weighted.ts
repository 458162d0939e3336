import { asWattvoxError } from "@wattvox/core";
import { between } from "../integrate.ts";
import type { LedgerLine } from "../ledger-file.ts";
import { readSpans } from "../ledger-spans.ts";
import type { CarbonSource, Series } from "./source.ts";

/** A carbon intensity and where it comes from. */
export interface Intensity {
	/** gCO2e/kWh; null: unknown. */
	gramsPerKWh: number | null;
	source: string;
}

/**
 * The carbon intensity of a ledger's joules: the source's figures for the times its outermost stages ran,
 * weighted by their joules.
 * @param onProblem told why the source could not be asked: its figure is then unknown
 * @returns unknown when the source does not know 90 % of the joules' time
 * @throws the signal's reason
 */
export async function weightedIntensity(
	lines: readonly LedgerLine[],
	source: CarbonSource,
	signal?: AbortSignal,
	onProblem: (why: string) => void = () => undefined,
): Promise<Intensity> {
	const unknown = { gramsPerKWh: null, source: source.name };
	const times = readSpans(lines)
		.spans.filter((s) => s.path.length === 1)
		.map((span) => {
			const { joules, seconds } = between(span.from, span.to);
			const from = Date.parse(span.at);
			return { from, to: from + seconds * 1000, joules: joules ?? 0 };
		})
		.filter((t) => t.to > t.from && t.joules > 0);
	if (times.length === 0) return unknown;
	const first = new Date(Math.min(...times.map((t) => t.from)));
	const last = new Date(Math.max(...times.map((t) => t.to)));
	let series: Series;
	try {
		series = await source.history(first, last, signal);
	} catch (thrown) {
		signal?.throwIfAborted();
		onProblem(`${asWattvoxError(thrown).message}: the CO2e is unknown`);
		return unknown;
	}
	let [grams, known, all] = [0, 0, 0];
	for (const { from, to, joules } of times) {
		const found = meanOver(series, from, to);
		grams += found.value * joules * found.known;
		known += joules * found.known;
		all += joules;
	}
	if (known < 0.9 * all) return unknown;
	return {
		gramsPerKWh: grams / known,
		source:
			series.kind === "marginal" ? `${source.name}, marginal` : source.name,
	};
}

/** Mean over what is known of an interval, and the share that is. */
function meanOver({ points }: Series, from: number, to: number) {
	let [sum, known] = [0, 0];
	for (const p of points) {
		const common = Math.min(p.to, to) - Math.max(p.from, from);
		if (common <= 0 || p.value === null) continue;
		sum += p.value * common;
		known += common;
	}
	return { value: known > 0 ? sum / known : 0, known: known / (to - from) };
}
