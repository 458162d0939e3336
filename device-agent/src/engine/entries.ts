import { join } from "node:path";
import { engineName, zDigest } from "@wattvox/bundle";
import type { EngineKey } from "@wattvox/runtime/tensorrt";
import { z } from "zod";

/** Name of an engine: SHA-256 of its key as canonical JSON, hex. */
export const engineId = (key: EngineKey): string => engineName(key);

/**
 * Name of a refitted copy: SHA-256 of all that it depends on as canonical JSON, hex. What the engine
 * depends on is in the engine's own name; the bytes are in it too, since two builds of one key differ.
 */
export const refitName = (key: RefitKey): string => engineName(key);

const zOrigin = z.union([
	z.object({ kind: z.literal("built"), seconds: z.number().min(0) }),
	/** Came from a build station; `key` signed it. */
	z.object({ kind: z.literal("signed"), key: zDigest }),
]);

const zFile = {
	v: z.literal(1),
	/** Of the plan. */
	sha256: zDigest,
	size: z.int().min(1),
	created: z.iso.datetime(),
};

/** What is written beside an engine's file. */
export const zEntry = z.object({
	...zFile,
	/** What it depends on. Held to the id, so its fields need no schema of their own. */
	key: z.record(z.string(), z.unknown()),
	origin: zOrigin,
});

const zRefitKey = z.object({
	/** Rises when a refit is made in another way. */
	recipe: z.literal(1),
	/** Name of the engine, and SHA-256 of the bytes that were refitted. */
	engine: zDigest,
	plan: zDigest,
	/** The bundle whose weights it has. */
	voice: zDigest,
});

/** What is written beside a refitted copy's file. */
export const zRefit = z.object({ ...zFile, key: zRefitKey });

/** Where an engine came from. */
export type EngineOrigin = z.infer<typeof zOrigin>;

/** All that a refitted copy depends on. */
export type RefitKey = z.infer<typeof zRefitKey>;

/** A file that a process may open once a trial has survived it. */
export interface PlanFile {
	path: string;
	/** Of its bytes, hex. */
	sha256: string;
	size: number;
}

/** An engine on this device. */
export interface EngineEntry extends PlanFile {
	id: string;
	key: EngineKey;
	created: string;
	origin: EngineOrigin;
	/** When it was put or last asked for, ms since 1970. */
	used: number;
}

/** A copy of an engine that has a voice's weights. */
export interface RefittedEntry extends PlanFile {
	name: string;
	key: RefitKey;
	created: string;
	/** When it was kept or last asked for, ms since 1970. */
	used: number;
}

/** Files of one engine in its folder. */
export const planPath = (dir: string): string => join(dir, "engine.plan");
export const entryPath = (dir: string): string => join(dir, "engine.json");
