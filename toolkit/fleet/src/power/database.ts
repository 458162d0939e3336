/** A row as a database gives it; whole numbers may come as bigint or text. */
export type Row = Record<string, unknown>;

/** A column's values travel as text or whole numbers. */
export type Value = string | number | boolean | null;

/** Counts of one run in one batch, in the order of {@link STAGED}. */
export type Staged = readonly (number | null)[];

/** The columns of the staging table. */
export const STAGED = [
	"run",
	"bucket",
	"sequence",
	"mj",
	"speech_mj",
	"utterances",
	"audio_ms",
	"compute_ms",
] as const;

/** What the store asks of a database: both speak the same SQL, but take bulk in their own way. */
export interface Database {
	/** @throws WattvoxError E_BUSY, E_STORE; the signal's reason */
	start(signal?: AbortSignal): Promise<void>;
	/** Idempotent. */
	stop(): Promise<void>;
	/** One statement; parameters are $1, $2 ... @throws WattvoxError E_STORE */
	query(sql: string, values?: readonly Value[]): Promise<Row[]>;
	/**
	 * In one transaction: `rows` into the table `power_staging`, then the statements, then it is empty
	 * again. @throws WattvoxError E_STORE
	 */
	load(rows: readonly Staged[], statements: readonly string[]): Promise<void>;
}
