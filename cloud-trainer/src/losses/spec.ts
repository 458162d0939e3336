import { z } from "zod";

const name = z.string().min(1);
const common = {
	/** The model's value that is judged. */
	output: name,
	/** What it should be: a value of the model, or a new input of that name that the batch feeds. */
	target: name,
	/** Factor in the sum: a number, or the name of a scalar input that the batch feeds. */
	weight: z.union([z.number(), name]).default(1),
	/** The term's output is `loss.LABEL`; the kind by default. */
	label: name.optional(),
};
const masked = {
	...common,
	/** 1 where a row counts, 0 where not: an input that broadcasts to the output, [..., 1] if it is new. */
	mask: name.optional(),
};

/** One term of a loss, as data. */
export const lossSchema = z.discriminatedUnion("kind", [
	/** mean |output - target| */
	z.strictObject({ kind: z.literal("l1"), ...masked }),
	/** mean (output - target)^2 */
	z.strictObject({ kind: z.literal("l2"), ...masked }),
	/** mean of -ln softmax(output)[label] over labels (int64, the output's shape without its class axis). */
	z.strictObject({
		kind: z.literal("cross-entropy"),
		...common,
		axis: z.number().int().default(-1),
		/** Labels of this value count for nothing. */
		ignore: z.number().int().default(-100),
		/** Share of the label's probability that is spread over all classes. */
		smoothing: z.number().min(0).lt(1).default(0),
	}),
	/** T^2 mean of KL(target || softmax(output / T)) over the last axis: distillation (arXiv 1503.02531). */
	z.strictObject({
		kind: z.literal("kl"),
		...masked,
		/** What the target holds: logits, divided by T too, or probabilities. */
		of: z.enum(["logits", "probabilities"]).default("logits"),
		temperature: z.number().positive().default(1),
	}),
	/** mean of 1 - cos(output, target) over the last axis */
	z.strictObject({ kind: z.literal("cosine"), ...masked }),
	/** Multi-resolution spectral distance of waves [B, samples] or [B, 1, samples]. */
	z.strictObject({
		kind: z.literal("spectral"),
		...common,
		/** STFT sizes in samples, multiples of 4; the hop is a quarter. */
		sizes: z
			.array(z.number().int().min(8).multipleOf(4))
			.min(1)
			.default([256, 512, 1024]),
	}),
]);

/** A term as a caller writes it. */
export type LossSpec = z.input<typeof lossSchema>;
/** A term with every default in place. */
export type Loss = z.output<typeof lossSchema>;
