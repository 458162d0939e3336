import { readFile } from "node:fs/promises";
import { asWattvoxError, WattvoxError } from "@wattvox/core";
import { z } from "zod";
import { SourceDescriptionSchema } from "./source.ts";

/**
 * The ledger on disk: JSON lines, only ever appended to. A run of a program is a session; meters
 * start anew in each, so figures are never compared across sessions.
 *
 * `ns`, `joules` and `coveredSeconds` are the meter's running sums (see MeterPoint).
 */
const Point = {
	ns: z.string().regex(/^\d+$/),
	joules: z.number(),
	coveredSeconds: z.number(),
	error: z
		.object({
			variance: z.number(),
			blindSeconds: z.number(),
			blindWatts: z.number(),
		})
		.optional(),
	parts: z.array(z.number()).optional(),
};
const PointSchema = z.object(Point);
const LineSchema = z.discriminatedUnion("event", [
	z.object({
		event: z.literal("session"),
		version: z.literal(1),
		session: z.string(),
		at: z.string(),
		source: SourceDescriptionSchema,
		/** What the session was for: "train amy". */
		job: z.string().optional(),
	}),
	/** What the machine draws at rest, seen before the work or said by an estimate. */
	z.object({
		event: z.literal("idle"),
		session: z.string(),
		watts: z.number(),
		plusMinus: z.number(),
		how: z.enum(["measured", "assumed"]),
	}),
	z.object({
		event: z.literal("start"),
		session: z.string(),
		stage: z.number().int(),
		parent: z.number().int().nullable(),
		name: z.string(),
		at: z.string(),
		/** Absent: a stage. */
		kind: z.literal("utterance").optional(),
		...Point,
	}),
	/** A part of a stage that is over: steps `from` to `to`, or epochs, both inclusive. */
	z.object({
		event: z.literal("lap"),
		session: z.string(),
		stage: z.number().int(),
		kind: z.enum(["steps", "epoch"]),
		from: z.number().int(),
		to: z.number().int(),
		begin: PointSchema,
		end: PointSchema,
	}),
	/** Where an open stage stood: what a crash leaves of it. */
	z.object({
		event: z.literal("progress"),
		session: z.string(),
		stage: z.number().int(),
		...Point,
	}),
	z.object({
		event: z.literal("end"),
		session: z.string(),
		stage: z.number().int(),
		ok: z.boolean(),
		/** Of an utterance. */
		audioSeconds: z.number().optional(),
		...Point,
	}),
]);
export type LedgerLine = z.infer<typeof LineSchema>;

/**
 * Reads a ledger. A last line that a crash cut short is left out.
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT
 */
export async function readLedger(path: string): Promise<LedgerLine[]> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (thrown) {
		throw asWattvoxError(thrown);
	}
	const lines: LedgerLine[] = [];
	for (const [index, line] of text.split("\n").entries()) {
		if (line === "") continue;
		const parsed = LineSchema.safeParse(json(line));
		if (parsed.success) lines.push(parsed.data);
		// Appending goes on after a torn line, so one may stand anywhere; JSON that is whole but
		// means nothing is another program's file.
		else if (json(line) !== undefined)
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`${path}:${index + 1} is no ledger line`,
			);
	}
	return lines;
}

function json(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		return undefined;
	}
}
