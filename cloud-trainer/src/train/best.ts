import type { Best } from "./checkpoint.ts";

/** End training after so many validations in a row that were not better by the share `gain`. */
export interface Patience {
	validations: number;
	gain: number;
}

/**
 * What is best after one more validation.
 * @param value what is judged; lower is better
 */
export function judge(
	before: Best | undefined,
	value: number,
	step: number,
	patience: Patience | undefined,
): Best {
	if (!before)
		return { step, loss: value, mark: value, waited: 0, stopped: false };
	const needed = (patience?.gain ?? 0) * Math.abs(before.mark);
	const gained = value < before.mark - needed;
	const waited = gained ? 0 : before.waited + 1;
	return {
		...before,
		...(value < before.loss && { step, loss: value }),
		mark: gained ? value : before.mark,
		waited,
		stopped: patience !== undefined && waited >= patience.validations,
	};
}
