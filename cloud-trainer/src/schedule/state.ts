import { readFile } from "node:fs/promises";
import { WattvoxError, writeAtomic } from "@wattvox/core";
import { z } from "zod";

const Segment = z.object({
	/** Milliseconds since 1970. */
	from: z.number(),
	/** Up to when it is known to have run. */
	to: z.number(),
	/** Joules of it; null: unknown. */
	joules: z.number().nullable(),
	measured: z.boolean(),
});
export type RanSegment = z.infer<typeof Segment>;

const Schema = z.object({
	format: z.literal("wattvox-schedule/1"),
	/** What was asked for: the same again goes on, anything else begins anew. */
	request: z.string(),
	/** When it was asked for first: what "now" means in the saving. */
	submitted: z.number(),
	deadline: z.number(),
	/** Seconds the work was thought to take, and what is left of it. */
	seconds: z.number(),
	left: z.number(),
	segments: z.array(Segment),
	done: z.boolean(),
	/** The forecast as it was when it was last asked for: what the saving falls back on. */
	forecast: z
		.object({
			source: z.string(),
			unit: z.string(),
			kind: z.enum(["average", "marginal", "price"]),
			issuedAt: z.number().nullable(),
			points: z.array(
				z.object({
					from: z.number(),
					to: z.number(),
					value: z.number().nullable(),
				}),
			),
		})
		.nullable(),
});

/** Where a scheduled work stands, on disk: a killed process goes on from it. */
export type ScheduleState = z.infer<typeof Schema>;

/** The state's file in a run's folder. */
export const SCHEDULE_FILE = "schedule.json";

export async function saveSchedule(
	path: string,
	state: ScheduleState,
): Promise<void> {
	await writeAtomic(path, `${JSON.stringify(state, null, "\t")}\n`);
}

/**
 * Reads a state; undefined when there is none.
 * @throws WattvoxError E_FILE_FORMAT
 */
export async function loadSchedule(
	path: string,
): Promise<ScheduleState | undefined> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (thrown) {
		if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw thrown;
	}
	try {
		return Schema.parse(JSON.parse(text));
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", `${path} is no schedule`, {
			cause,
		});
	}
}
