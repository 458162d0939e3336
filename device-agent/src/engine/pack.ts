import {
	ENGINE_HEAD_MAX_BYTES,
	type EngineHead,
	hashBytes,
	type PrivateKey,
	readEngineHead,
	sha256,
	signEngine,
	type Trust,
} from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import type { EngineKey, TensorRtFacts } from "@wattvox/runtime/tensorrt";

const LINE_END = 0x0a;

/** An engine that somebody vouches for. */
export interface OpenedPack {
	head: EngineHead;
	key: EngineKey;
	/** TensorRT's bytes. */
	plan: Uint8Array;
	/** Id of the builder key that signed it. */
	signer: string;
	created: string;
}

/**
 * An engine as a file for other devices of its class: one line of JSON, signed for the purpose "engine",
 * then the engine's bytes.
 * @throws as `signEngine`
 */
export function packEngine(
	key: EngineKey,
	plan: Uint8Array,
	by: PrivateKey,
	more: { created?: Date; deviceClass?: string | undefined } = {},
): [head: Uint8Array, plan: Uint8Array] {
	const head = signEngine(key, hashBytes(plan), by, more);
	return [Buffer.concat([head, Buffer.of(LINE_END)]), plan];
}

/**
 * Reads such a file. The signature is verified before the statement is parsed, the bytes are held to it,
 * and nothing of the engine itself is looked at.
 * @param trust whose builder keys count
 * @throws WattvoxError E_FILE_FORMAT (no such file), E_SIGNATURE (unsigned, another key, another purpose),
 *   E_TAMPERED (other bytes than were signed)
 */
export function openPack(bytes: Uint8Array, trust: Trust): OpenedPack {
	const end = bytes.subarray(0, ENGINE_HEAD_MAX_BYTES + 1).indexOf(LINE_END);
	const head = readEngineHead(bytes.subarray(0, Math.max(0, end)), trust);
	const plan = bytes.subarray(end + 1);
	if (plan.length !== head.size || sha256(plan) !== head.sha256)
		throw new WattvoxError(
			"E_TAMPERED",
			"the engine is not the one that was signed",
		);
	const { key, signer, created } = head;
	return { head, key, plan, signer, created };
}

/** What an engine depends on that the machine brings. */
const MACHINE = [
	"tensorrt",
	"cuda",
	"cudaDriver",
	"computeCapability",
	"device",
	"multiprocessors",
	"l4t",
	"module",
] as const satisfies readonly (keyof EngineKey & keyof TensorRtFacts)[];

/**
 * Refuses an engine for another class of device.
 * @throws WattvoxError E_ENGINE_LOAD naming all that differs
 */
export function requireClass(key: EngineKey, facts: TensorRtFacts): void {
	const other = MACHINE.filter((name) => key[name] !== facts[name]);
	if (other.length > 0)
		throw new WattvoxError(
			"E_ENGINE_LOAD",
			`the engine was built for another class of device: ${other
				.map((name) => `${name} ${key[name]}, here ${facts[name]}`)
				.join("; ")}`,
		);
}
