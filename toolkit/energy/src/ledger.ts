import { AsyncLocalStorage } from "node:async_hooks";
import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import {
	asWattvoxError,
	type Clock,
	systemClock,
	WattvoxError,
} from "@wattvox/core";
import { between, type Energy, type MeterPoint } from "./integrate.ts";
import { type LedgerLine, readLedger } from "./ledger-file.ts";
import { type LedgerSummary, summarise } from "./ledger-summary.ts";
import type { Meter } from "./meter.ts";

export interface LedgerOptions {
	/** A started meter. The ledger does not stop it. */
	meter: Meter;
	/** JSON-lines file to append to; an existing one is continued. Without it: memory only. */
	path?: string;
	/** What this session is for, such as "train amy". */
	job?: string;
	/** How often an open stage is noted, so that a crash loses no more. Milliseconds; default 5000. */
	progressMs?: number;
}

/** What the work inside a stage can ask. */
export interface Stage {
	readonly name: string;
	/** What the stage has cost up to the meter's newest reading: for progress bars. */
	energy(): Energy;
	/**
	 * Books what has passed since the last lap of this kind, or since the stage began, as steps or epochs
	 * `from` to `to`, both inclusive. Its ends are the meter's newest readings: no reading is taken, so
	 * this can be called from anywhere and as often as wished.
	 */
	lap(kind: "steps" | "epoch", from: number, to: number): void;
}

/**
 * Books joules by stage. Stages may follow one another or lie within each other (`await`ed calls
 * inside a stage's function find their outer stage by themselves).
 *
 * INVARIANT: a line is on disk before the work it announces starts, so whatever a crash leaves
 * is a readable ledger that is at most `progressMs` behind.
 */
export class Ledger {
	readonly #meter: Meter;
	readonly #path: string | undefined;
	readonly #progressMs: number;
	readonly #job: string | undefined;
	readonly #session = randomBytes(6).toString("hex");
	readonly #open = new Map<number, Stage>();
	readonly #inner = new AsyncLocalStorage<number>();
	readonly #lines: LedgerLine[] = [];
	#file: FileHandle | undefined;
	#timer: NodeJS.Timeout | undefined;
	#writes: Promise<void> = Promise.resolve();
	#started = false;
	#nextId = 0;

	constructor(options: LedgerOptions) {
		this.#meter = options.meter;
		this.#path = options.path;
		this.#progressMs = options.progressMs ?? 5000;
		this.#job = options.job;
	}

	/**
	 * Opens the file, reads what earlier sessions left, begins this one.
	 * @throws WattvoxError E_OUTPUT, E_DISK_FULL, E_FILE_FORMAT
	 */
	async start(): Promise<void> {
		if (this.#started) return;
		if (this.#path !== undefined) {
			this.#file = await openToAppend(this.#path);
			this.#lines.push(...(await readLedger(this.#path)));
		}
		this.#started = true;
		await this.#append({
			event: "session",
			version: 1,
			session: this.#session,
			at: new Date().toISOString(),
			source: this.#meter.describe(),
			...(this.#job !== undefined && { job: this.#job }),
		});
		// A model says what it takes the machine to draw at rest; a sensor has to look.
		if (this.#meter.idleWatts !== undefined)
			await this.#append({
				event: "idle",
				session: this.#session,
				watts: this.#meter.idleWatts,
				plusMinus: 0,
				how: "assumed",
			});
		this.#timer = setInterval(() => this.#note(), this.#progressMs);
		this.#timer.unref();
	}

	/** Notes where open stages stand and closes the file. Idempotent. */
	async stop(): Promise<void> {
		clearInterval(this.#timer);
		this.#note();
		await this.#writes.catch(() => undefined);
		await this.#file?.close();
		this.#file = undefined;
		this.#started = false;
	}

	/**
	 * Looks at the resting machine, so that figures above idle can be told. Nothing may run meanwhile.
	 * @param seconds at least 1
	 * @returns watts, null where the sensor did not cover the time
	 */
	async idle(
		seconds: number,
		clock: Clock = systemClock,
		signal?: AbortSignal,
	): Promise<number | null> {
		const from = await this.#meter.point();
		await clock.sleep(Math.max(1, seconds) * 1000, signal);
		const energy = between(from, await this.#meter.point());
		if (energy.joules === null || energy.coverage < 0.9) return null;
		const covered = energy.seconds * energy.coverage;
		const watts = energy.joules / covered;
		await this.#append({
			event: "idle",
			session: this.#session,
			watts,
			plusMinus: (energy.plusMinus ?? 0) / covered,
			how: "measured",
		});
		return watts;
	}

	/**
	 * Books one utterance. Its joules are the machine's while it was computed: a share of busy time when
	 * several are computed at once, and less than a sensor's period says little about.
	 * @throws as {@link stage}
	 */
	utterance<T extends { audioSeconds: number }>(
		name: string,
		speak: () => Promise<T>,
	): Promise<T> {
		return this.#book(name, speak, "utterance");
	}

	/**
	 * Runs `work` and books what it cost, whether it succeeds or throws.
	 * @throws whatever `work` throws; WattvoxError E_OUTPUT, E_DISK_FULL when the ledger cannot be written
	 */
	stage<T>(name: string, work: (stage: Stage) => Promise<T>): Promise<T> {
		return this.#book(name, work);
	}

	async #book<T>(
		name: string,
		work: (stage: Stage) => Promise<T>,
		kind?: "utterance",
	): Promise<T> {
		if (!this.#started)
			throw new WattvoxError("E_BUG", `stage "${name}" of a ledger at rest`);
		const id = this.#nextId++;
		const from = await this.#meter.point();
		this.#open.set(id, this.#openStage(id, name, from));
		try {
			await this.#append({
				event: "start",
				session: this.#session,
				stage: id,
				parent: this.#inner.getStore() ?? null,
				name,
				at: new Date().toISOString(),
				...(kind && { kind }),
				...onDisk(from),
			});
			return await this.#booked(id, work);
		} finally {
			this.#open.delete(id);
		}
	}

	#openStage(id: number, name: string, from: MeterPoint): Stage {
		const laps = new Map<string, MeterPoint>();
		const newest = () => later(from, this.#meter.latest);
		return {
			name,
			energy: () => between(from, newest()),
			lap: (kind, first, last) => {
				const begin = laps.get(kind) ?? from;
				const end = later(begin, newest());
				laps.set(kind, end);
				// A full disk is reported by the stage's own lines; laps may be missing.
				this.#append({
					event: "lap",
					session: this.#session,
					stage: id,
					kind,
					from: first,
					to: last,
					begin: onDisk(begin),
					end: onDisk(end),
				}).catch(() => undefined);
			},
		};
	}

	async #booked<T>(id: number, work: (stage: Stage) => Promise<T>): Promise<T> {
		const end = async (ok: boolean, audioSeconds?: unknown) => {
			const to = onDisk(await this.#meter.point());
			const line = { event: "end", session: this.#session, stage: id } as const;
			await this.#append({
				...line,
				ok,
				...(typeof audioSeconds === "number" && { audioSeconds }),
				...to,
			});
		};
		let result: T;
		try {
			const stage = this.#open.get(id) as Stage;
			result = await this.#inner.run(id, () => work(stage));
		} catch (thrown) {
			// The work's own error matters more than one of the ledger.
			await end(false).catch(() => undefined);
			throw thrown;
		}
		await end(
			true,
			(result as { audioSeconds?: unknown } | null)?.audioSeconds,
		);
		return result;
	}

	/** The table: this session's stages and those of earlier sessions in the same file. */
	summary(): LedgerSummary {
		return summarise(this.#lines, this.#session);
	}

	/** Every line so far: this session's and those of earlier sessions in the same file. */
	get lines(): readonly LedgerLine[] {
		return this.#lines;
	}

	/** Where the open stages stand. */
	#note(): void {
		const point = onDisk(this.#meter.latest);
		// A full disk is reported by the stage's own lines; progress may be missing.
		for (const id of this.#open.keys())
			this.#append({
				event: "progress",
				session: this.#session,
				stage: id,
				...point,
			}).catch(() => undefined);
	}

	#append(line: LedgerLine): Promise<void> {
		this.#lines.push(line);
		const file = this.#file;
		if (!file) return Promise.resolve();
		const write = this.#writes.then(async () => {
			try {
				await file.appendFile(`${JSON.stringify(line)}\n`);
				// Laps come often and repeat what the stage's own lines will say.
				if (line.event !== "lap") await file.datasync();
			} catch (thrown) {
				throw asOutput(this.#path, thrown);
			}
		});
		this.#writes = write.catch(() => undefined);
		return write;
	}
}

async function openToAppend(path: string): Promise<FileHandle> {
	let file: FileHandle | undefined;
	try {
		await mkdir(dirname(path), { recursive: true });
		file = await open(path, "a+");
		// A crash may have cut the last line short: the next one starts on its own line.
		const { size } = await file.stat();
		const last = Buffer.alloc(1);
		if (size > 0) await file.read(last, 0, 1, size - 1);
		if (size > 0 && last.toString() !== "\n") await file.appendFile("\n");
		return file;
	} catch (thrown) {
		await file?.close();
		throw asOutput(path, thrown);
	}
}

function asOutput(path: string | undefined, thrown: unknown): WattvoxError {
	const error = asWattvoxError(thrown);
	const code = error.code === "E_DISK_FULL" ? error.code : "E_OUTPUT";
	return new WattvoxError(code, `cannot write ${path}: ${error.message}`, {
		cause: thrown,
	});
}

function onDisk(point: MeterPoint) {
	const { atNs, ...sums } = point;
	return {
		ns: atNs.toString(),
		...sums,
		parts: point.parts && [...point.parts],
	};
}

/** The meter may not have sampled since the stage began. */
function later(from: MeterPoint, to: MeterPoint): MeterPoint {
	return to.atNs < from.atNs ? from : to;
}
