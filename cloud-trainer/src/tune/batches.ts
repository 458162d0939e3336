import { readdir, readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { WattvoxError } from "@wattvox/core";
import { castFloat, decodeSafetensors, type Value } from "@wattvox/onnx";
import { StepRandom } from "../data/random.ts";
import type { Feeds } from "../train/parts.ts";

/** Batches to train on, by step. Which batch a step gets depends on the seed and the step alone. */
export interface BatchSource {
	/** Batches of one epoch, where that is known beforehand. */
	readonly count: number | undefined;
	/** The batch of a step from 0. Steps are asked for in rising order. */
	at(step: number): Promise<Feeds>;
	/** A name for batches that come again. */
	key(step: number): string | undefined;
}

/** What a module of batches exports as `train`, and for held-out ones as `validation`. */
export type BatchFunction = (about: {
	/** From 0. */
	epoch: number;
	seed: number;
}) => AsyncIterable<Feeds> | Iterable<Feeds>;

const isModule = (path: string): boolean => /\.[cm]?js$/.test(path);

/**
 * Opens batches: a folder of safetensors files, each a batch with a tensor for every input, drawn in an
 * order of their own in each epoch; or a JavaScript module whose `train({ epoch, seed })` yields the
 * batches of an epoch, called anew for each.
 * @throws WattvoxError E_FILE_MISSING, E_FILE_FORMAT
 */
export async function openBatches(
	path: string,
	seed: number,
): Promise<BatchSource> {
	if (isModule(path)) return new Yielded(await exported(path, "train"), seed);
	return new Folder(path, await filesIn(path), seed);
}

/**
 * All batches of a folder in the order of their names, or those of a module's `validation`.
 * @throws WattvoxError as {@link openBatches} does
 */
export async function allBatches(path: string, seed: number): Promise<Feeds[]> {
	const found: Feeds[] = [];
	if (isModule(path)) {
		const all = await exported(path, "validation");
		for await (const feeds of all({ epoch: 0, seed })) found.push(feeds);
		if (found.length === 0) throw empty(`validation of ${path}`);
	} else
		for (const file of await filesIn(path))
			found.push(await batchIn(join(path, file)));
	return found;
}

/**
 * The tensors of a batch that the inputs take, floats in the inputs' precision; others are left out.
 * @throws WattvoxError E_MODEL naming an input that is missing or of another type or shape
 */
export function feedsFor(
	inputs: readonly Value[],
	batch: Feeds,
	from: string,
): Feeds {
	const feeds: Feeds = {};
	for (const { name, dtype, shape } of inputs) {
		const given = batch[name];
		const bad = (why: string) =>
			new WattvoxError("E_MODEL", `${from}: ${name} ${why}`);
		if (!given)
			throw bad(
				`is missing; the batch has ${Object.keys(batch).join(", ") || "nothing"}`,
			);
		const floating = /float/.test(dtype) && /float/.test(given.dtype);
		const t = floating ? castFloat(given, dtype) : given;
		if (t.dtype !== dtype) throw bad(`is ${t.dtype}, the model takes ${dtype}`);
		const fits =
			!shape ||
			(shape.length === t.dims.length &&
				shape.every((d, i) => typeof d === "string" || d === t.dims[i]));
		if (!fits) throw bad(`is [${t.dims}], the model takes [${shape}]`);
		feeds[name] = t;
	}
	return feeds;
}

const empty = (what: string) =>
	new WattvoxError("E_FILE_MISSING", `there are no batches in ${what}`);

async function filesIn(path: string): Promise<string[]> {
	const all = await readdir(path).catch((cause) => {
		throw new WattvoxError("E_FILE_MISSING", `there is no folder ${path}`, {
			cause,
		});
	});
	const files = all.filter((f) => f.endsWith(".safetensors")).sort();
	if (files.length === 0) throw empty(`${path}: no .safetensors file`);
	return files;
}

async function batchIn(path: string): Promise<Feeds> {
	return Object.fromEntries(decodeSafetensors(await readFile(path)).tensors);
}

/** A function that a module exports by a name, or `train` as its default. */
async function exported(path: string, name: string): Promise<BatchFunction> {
	const module = await import(pathToFileURL(resolve(path)).href).catch(
		(cause) => {
			throw new WattvoxError(
				"E_FILE_FORMAT",
				`${path} cannot be imported: ${cause instanceof Error ? cause.message : cause}`,
				{ cause },
			);
		},
	);
	const found = module[name] ?? (name === "train" ? module.default : undefined);
	if (typeof found === "function") return found as BatchFunction;
	throw new WattvoxError(
		"E_FILE_FORMAT",
		`${basename(path)} exports no function ${name}`,
	);
}

/** One file per batch; the order of an epoch follows from the seed and its number. */
class Folder implements BatchSource {
	readonly count: number;
	readonly #dir: string;
	readonly #files: readonly string[];
	readonly #seed: number;
	#order: { epoch: number; files: string[] } | undefined;

	constructor(dir: string, files: readonly string[], seed: number) {
		this.#dir = dir;
		this.#files = files;
		this.#seed = seed;
		this.count = files.length;
	}

	at(step: number): Promise<Feeds> {
		return batchIn(join(this.#dir, this.key(step)));
	}

	key(step: number): string {
		const epoch = Math.floor(step / this.count);
		if (this.#order?.epoch !== epoch) {
			const random = new StepRandom(this.#seed, epoch);
			const files = [...this.#files];
			for (let i = files.length - 1; i > 0; i--) {
				const j = random.int(i + 1);
				const held = files[i] as string;
				files[i] = files[j] as string;
				files[j] = held;
			}
			this.#order = { epoch, files };
		}
		return this.#order.files[step % this.count] as string;
	}
}

/** What a function yields, epoch after epoch. Steps before the first that is asked for are drawn and dropped. */
class Yielded implements BatchSource {
	readonly count = undefined;
	readonly #epoch: BatchFunction;
	readonly #seed: number;
	#next = 0;
	readonly #batches: AsyncGenerator<Feeds, never>;

	constructor(epoch: BatchFunction, seed: number) {
		this.#epoch = epoch;
		this.#seed = seed;
		this.#batches = this.#all();
	}

	async *#all(): AsyncGenerator<Feeds, never> {
		for (let epoch = 0; ; epoch++) {
			let some = false;
			for await (const feeds of this.#epoch({ epoch, seed: this.#seed })) {
				some = true;
				yield feeds;
			}
			if (!some) throw empty(`epoch ${epoch}: the module yields none`);
		}
	}

	async at(step: number): Promise<Feeds> {
		for (;;) {
			const { value } = await this.#batches.next();
			if (this.#next++ === step) return value;
		}
	}

	key(): undefined {
		return undefined;
	}
}
