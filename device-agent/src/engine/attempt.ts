import { sha256 } from "@wattvox/bundle";
import { asWattvoxError, type ErrorCode, WattvoxError } from "@wattvox/core";
import {
	type EngineKey,
	engineKey,
	MEMORY_BYTES,
} from "@wattvox/runtime/tensorrt";
import { type EngineEntry, engineId } from "./entries.ts";
import { judgeEngine, type Way, type Yardstick } from "./judge.ts";
import type { PreparedEngine, PrepareOptions } from "./prepare.ts";

/** Failures that say nothing about the engine. */
const NOT_ITS_FAULT: readonly ErrorCode[] = [
	"E_INTERRUPTED",
	"E_DISK_FULL",
	"E_OUTPUT",
	"E_TENSORRT",
];
/** Failures of one way of making an engine that another way may not have. */
export const OTHER_WAY: readonly ErrorCode[] = [
	"E_ENGINE_BUILD",
	"E_ENGINE_REFIT",
	"E_ENGINE_DIFFERS",
	"E_ENGINE_CRASH",
	"E_ENGINE_LOAD",
];

export interface Given extends Yardstick {
	/** Builder keys whose engines may be used. */
	builders: Set<string>;
}

/** There is no such engine, and none is to be built now. */
export interface Absent {
	absent: EngineKey;
	/** What came from elsewhere and does not hold. */
	because?: WattvoxError;
}

/**
 * Tries one way of coming by an engine.
 * @returns or its key: there is none that is not known to fail, and none is to be built now
 * @throws as `prepareEngine`
 */
export async function attempt(
	o: PrepareOptions,
	way: Way,
	given: Given,
	mayBuild: boolean,
): Promise<PreparedEngine | Absent> {
	const { cache, voice, precision, from = "anywhere" } = o;
	const { facts } = given;
	const key = engineKey(facts, sha256(way.onnx), {
		precision,
		refit: way.refit,
		...(o.workspaceBytes !== undefined && { workspaceBytes: o.workspaceBytes }),
		...(o.level !== undefined && { level: o.level }),
	});
	const id = engineId(key);
	const known = await cache.failures.find(id, voice);
	const { memoryBytes = MEMORY_BYTES } = o;
	// With more room than then it may go well.
	const roomier =
		known?.code === "E_MEMORY" &&
		memoryBytes > (known.memoryBytes ?? MEMORY_BYTES);
	if (known && !o.again && !roomier)
		throw new WattvoxError(known.code, `as before: ${known.message}`);
	const foreign = o.again ? [] : await cache.failures.foreign(id, voice);
	const find = async () => {
		const entry = allowed(o, given, await cache.find(key));
		return foreign.some((f) => f.plan === entry?.sha256) ? undefined : entry;
	};
	try {
		let entry = await find();
		if (!entry && o.bring && !mayBuild && from !== "cache") {
			const signer = await o.bring(key);
			if (signer !== null) given.builders.add(signer);
			entry = await find();
		}
		let because: WattvoxError | undefined;
		if (entry) {
			const made = await judged(o, way, entry, given);
			if (!(made instanceof WattvoxError)) return made;
			because = made;
		} else if (foreign[0])
			because = new WattvoxError(
				foreign[0].code,
				`as before: ${foreign[0].message}`,
			);
		if (!mayBuild) return { absent: key, ...(because && { because }) };
		const made = await judgeEngine(o, way, await build(o, way, key), given);
		await cache.failures.forgive(id, voice);
		return { ...made, fresh: true };
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		if (!o.signal?.aborted && !NOT_ITS_FAULT.includes(code))
			await cache.failures.add({
				...{ engine: id, voice, code, message, memoryBytes },
			});
		throw thrown;
	}
}

/** @returns why it does not hold, where another may: one of our own, or of those who built it */
async function judged(
	o: PrepareOptions,
	way: Way,
	entry: EngineEntry,
	given: Given,
): Promise<PreparedEngine | WattvoxError> {
	const { cache, voice, signal, note, from = "anywhere" } = o;
	try {
		const made = await judgeEngine(o, way, entry, given);
		await cache.failures.forgive(entry.id, voice, entry.sha256);
		return { ...made, fresh: false };
	} catch (thrown) {
		const error = asWattvoxError(thrown);
		const { code, message } = error;
		signal?.throwIfAborted();
		// What this TensorRT does not read any more is worth nothing to anybody.
		const useless = code === "E_ENGINE_LOAD";
		if (useless) await cache.remove(entry.id);
		if (entry.origin.kind === "signed") {
			// What others built is worth no more than what it computes.
			const came = `the ${way.what} that came does not hold here (${code})`;
			if (from !== "anywhere" && !NOT_ITS_FAULT.includes(code)) {
				note?.(came);
				const { id, sha256: plan } = entry;
				await cache.failures.add({ engine: id, voice, plan, code, message });
				return error;
			}
			if (from === "anywhere" && OTHER_WAY.includes(code)) {
				note?.(`${came}; building our own`);
				await cache.remove(entry.id);
				return error;
			}
		} else if (useless) {
			note?.(`the cached ${way.what} is not readable any more`);
			return error;
		}
		throw thrown;
	}
}

/** An engine that was built elsewhere counts while the key that signed it does. */
function allowed(
	{ note }: PrepareOptions,
	{ builders }: Given,
	entry: EngineEntry | undefined,
): EngineEntry | undefined {
	if (entry?.origin.kind !== "signed") return entry;
	if (builders.has(entry.origin.key)) return entry;
	note?.("the engine there is signed by a key that builds nothing here");
	return undefined;
}

async function build(
	o: PrepareOptions,
	way: Way,
	key: EngineKey,
): Promise<EngineEntry> {
	const { cache, signal } = o;
	o.note?.(`building the ${way.what}`);
	const timingCache = await cache.timing(key);
	const built = await (o.builder ?? o.workshop).buildEngine(way.onnx, {
		precision: o.precision,
		refit: way.refit,
		workspaceBytes: o.workspaceBytes,
		level: o.level,
		deadlineMs: o.deadlineMs,
		memoryBytes: o.memoryBytes,
		timingCache,
		onProgress: o.onProgress,
		signal,
	});
	if (built.timingCache.length > 0)
		await cache.setTiming(key, built.timingCache);
	return cache.put(key, built.engine, {
		kind: "built",
		seconds: built.seconds,
	});
}
