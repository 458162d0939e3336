import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { zDigest } from "@wattvox/bundle";
import { writeAtomic } from "@wattvox/core";
import { type SpeechFigure, speechConditions } from "@wattvox/energy";
import { zSpeechFigure } from "@wattvox/link";
import { z } from "zod";
import type { Runtime } from "../speaker/messages.ts";

const zEntry = z.object({ bundle: zDigest, figure: zSpeechFigure });
const zVerdict = z.object({
	bundle: zDigest,
	verdict: z.enum(["passed", "failed", "not-measured", "not-compared"]),
	why: z.string().max(2000),
	/** Null: not measured. */
	figure: zSpeechFigure.nullable(),
});
const zFile = z.object({
	v: z.literal(1),
	figures: z.array(zEntry),
	verdicts: z.array(zVerdict),
});

/** What was found of a voice. */
export type Finding = z.infer<typeof zVerdict>;

/** Figures and findings kept: all voices that a device holds, under several conditions. */
const KEPT = 32;

/**
 * What this device measured of its voices, in `joules.json`.
 *
 * INVARIANTS
 * - A voice's figure stays when it is found wanting, its finding goes when it is wished for again.
 * - What was found of a voice by one runtime says nothing of it by another.
 */
export class Figures {
	readonly #path: string;
	#figures: z.infer<typeof zEntry>[] = [];
	#findings: Finding[] = [];

	constructor(dataDir: string) {
		this.#path = join(dataDir, "joules.json");
	}

	/** Reads what an earlier run left; a file that cannot be read is none. */
	async recall(): Promise<void> {
		const text = await readFile(this.#path, "utf8").catch(() => "{}");
		try {
			const { figures, verdicts } = zFile.parse(JSON.parse(text));
			this.#figures = figures;
			this.#findings = verdicts;
		} catch {
			// it is measured again
		}
	}

	/** @param runtime that the voice speaks by; null: what was found last by any */
	finding(bundle: string, runtime: Runtime | null): Finding | undefined {
		return this.#findings.find(
			(f) => f.bundle === bundle && (runtime === null || isBy(f, runtime)),
		);
	}

	/** The newest figure of a voice under the conditions of another figure. */
	under(bundle: string, other: SpeechFigure): SpeechFigure | undefined {
		const wanted = speechConditions(other);
		if (wanted === null) return undefined;
		return this.#figures.find(
			(f) => f.bundle === bundle && speechConditions(f.figure) === wanted,
		)?.figure;
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async measured(bundle: string, figure: SpeechFigure): Promise<void> {
		const same = speechConditions(figure);
		const others = this.#figures.filter(
			(f) => f.bundle !== bundle || speechConditions(f.figure) !== same,
		);
		this.#figures = [{ bundle, figure }, ...others].slice(0, KEPT);
		await this.#write();
	}

	/** @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async found(finding: Finding, runtime: Runtime): Promise<void> {
		const others = this.#findings.filter(
			(f) => f.bundle !== finding.bundle || !isBy(f, runtime),
		);
		this.#findings = [finding, ...others].slice(0, KEPT);
		await this.#write();
	}

	/** It may be tried anew. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async forget(bundle: string): Promise<void> {
		this.#findings = this.#findings.filter((f) => f.bundle !== bundle);
		await this.#write();
	}

	async #write(): Promise<void> {
		const file: z.infer<typeof zFile> = {
			v: 1,
			figures: this.#figures,
			verdicts: this.#findings,
		};
		await writeAtomic(this.#path, `${JSON.stringify(file)}\n`);
	}
}

/** As a figure says it: "onnxruntime, 1 thread". */
export function runtimeText(runtime: Runtime, threads: number): string {
	return `${runtime}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

function isBy({ figure }: Finding, runtime: Runtime): boolean {
	return figure === null || figure.runtime.startsWith(`${runtime}, `);
}
