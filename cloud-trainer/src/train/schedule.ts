import { z } from "zod";

/** The learning rate as a function of the step, from 0. */
export type Schedule = (step: number) => number;

/** Linear warm-up, then a half cosine down to `floor` of the peak. */
export const warmCosine =
	(peak: number, warmup: number, total: number, floor = 0.02): Schedule =>
	(step) => {
		if (step < warmup) return (peak * (step + 1)) / warmup;
		const t = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
		return peak * (floor + (1 - floor) * 0.5 * (1 + Math.cos(Math.PI * t)));
	};

/** Linear warm-up, then a straight line down to `floor` of the peak. */
export const warmLinear =
	(peak: number, warmup: number, total: number, floor = 0): Schedule =>
	(step) => {
		if (step < warmup) return (peak * (step + 1)) / warmup;
		const left = 1 - (step - warmup) / Math.max(1, total - warmup);
		return peak * (floor + (1 - floor) * Math.max(0, left));
	};

/** Linear warm-up, then the peak. */
export const warmConstant =
	(peak: number, warmup: number): Schedule =>
	(step) =>
		step < warmup ? (peak * (step + 1)) / warmup : peak;

/** A schedule as data. */
export const scheduleSchema = z.strictObject({
	kind: z.enum(["constant", "linear", "cosine"]),
	/** The highest learning rate. */
	peak: z.number().positive(),
	/** Steps of linear warm-up. */
	warmup: z.number().int().min(0).default(0),
	/** Share of the peak that is left at the end; not for "constant". */
	floor: z.number().min(0).max(1).default(0),
});
export type ScheduleSpec = z.input<typeof scheduleSchema>;

/** The function that a description means. @param steps of the whole run */
export function scheduleOf(spec: ScheduleSpec, steps: number): Schedule {
	const { kind, peak, warmup, floor } = scheduleSchema.parse(spec);
	switch (kind) {
		case "constant":
			return warmConstant(peak, warmup);
		case "linear":
			return warmLinear(peak, warmup, steps, floor);
		case "cosine":
			return warmCosine(peak, warmup, steps, floor);
	}
}
