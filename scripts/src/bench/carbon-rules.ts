import type { NoisyForecast, Year } from "./carbon-year.ts";

/** What a rule for a job of one hour, tuned in hindsight, would have made of the same forecasts. */
export interface RuleBound {
	/** Hours until the deadline. */
	deadline: number;
	/** Of what the best placement saves: waiting for the smallest forecast, as the planner does. */
	plain: number;
	/** The best of all rules tried, chosen after the year was known. */
	best: number;
	rules: number;
}

/** The deviation of a forecast's logarithm by its lead in hours, in sigmas of {@link NoisyForecast}. */
const deviation = (lead: number): number =>
	Math.sqrt((1 - 0.95 ** (2 * lead)) / (1 - 0.95 ** 2));

/**
 * Rules that start now unless some hour ahead is believed to be cleaner:
 *
 *   believed = (usual + w (forecast - usual)) (1 - k s),  start when now (1 - worth) <= min believed
 *
 * `usual` is the mean of that hour over the week before, w = 1 - trust * s / s(a day ahead), s the
 * deviation of a forecast with that lead: forecasts drawn to the usual, hours to come taken lower or
 * higher than forecast, and a least gain worth waiting for. No rule may know which of them is best
 * before the year is over, so the best of them bounds what the planner could gain by another rule.
 */
export function boundByRules(
	{ values }: Year,
	noisy: NoisyForecast,
	sigma: number,
	deadline: number,
	stride: number,
): RuleBound {
	const s = Array.from({ length: deadline }, (_, lead) => deviation(lead));
	const farthest = deviation(24);
	const rules = [0, 0.1, 0.2, 0.3, 0.4, 0.5].flatMap((trust) =>
		[-1, -0.5, 0, 0.5, 1].flatMap((k) =>
			[0, 0.01].map((worth) => ({ trust, k, worth, sum: 0 })),
		),
	);
	const usual = (known: number, hour: number): number => {
		let [sum, n] = [0, 0];
		for (let at = hour - 24; at >= 0 && at >= hour - 168; at -= 24)
			if (at <= known) [sum, n] = [sum + (values[at] as number), n + 1];
		return sum / n;
	};
	let [now, placement] = [0, 0];
	// A week is left to learn what is usual.
	for (let at = 168; at < values.length - deadline - 2; at += stride) {
		now += values[at] as number;
		placement += Math.min(...values.slice(at, at + deadline));
		const seen = Array.from({ length: deadline }, (_, waited) =>
			noisy.from(at + waited, deadline - waited),
		);
		for (const rule of rules) {
			let waited = 0;
			for (; waited < deadline - 1; waited++) {
				const hour = at + waited;
				let least = Number.POSITIVE_INFINITY;
				for (const [lead, forecast] of (seen[waited] as number[]).entries()) {
					if (lead === 0) continue;
					const off = s[lead] as number;
					const mean = rule.trust ? usual(hour, hour + lead) : forecast;
					const weight = 1 - (rule.trust * off) / farthest;
					const believed =
						(mean + weight * (forecast - mean)) * (1 - rule.k * sigma * off);
					least = Math.min(least, believed);
				}
				if ((values[hour] as number) * (1 - rule.worth) <= least) break;
			}
			rule.sum += values[at + waited] as number;
		}
	}
	const share = (sum: number) => (now - sum) / (now - placement);
	const plain = rules.find((r) => !r.trust && !r.k && !r.worth);
	return {
		deadline,
		plain: share(plain?.sum ?? Number.NaN),
		best: Math.max(...rules.map((r) => share(r.sum))),
		rules: rules.length,
	};
}
