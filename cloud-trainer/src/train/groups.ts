import { z } from "zod";
import { matches } from "../lora/targets.ts";

/** Settings of the parameters that a pattern matches, as data. */
export const groupSchema = z.strictObject({
	/** Globs over names, or regular expressions between slashes; `*.lora_B` is LoRA+'s group. */
	match: z.union([z.string(), z.array(z.string()).min(1)]),
	/** Factor of the learning rate. */
	rate: z.number().min(0).optional(),
	/** In place of the optimiser's weight decay; also for vectors, which it otherwise spares. */
	weightDecay: z.number().min(0).optional(),
});
export type ParameterGroup = z.infer<typeof groupSchema>;

/**
 * LoRA+ (arXiv 2402.12354): B learns faster than A. The paper advises a ratio of 16 for models with
 * wide layers.
 */
export const loraPlus = (ratio = 16): ParameterGroup => ({
	match: "*.lora_B",
	rate: ratio,
});

/** What groups say of one parameter: the first that matches and says something decides. */
export function settingsOf(
	groups: readonly ParameterGroup[],
	name: string,
): { rate: number; weightDecay: number | undefined } {
	const mine = groups.filter((g) => matches(g.match, name));
	return {
		rate: mine.find((g) => g.rate !== undefined)?.rate ?? 1,
		weightDecay: mine.find((g) => g.weightDecay !== undefined)?.weightDecay,
	};
}
