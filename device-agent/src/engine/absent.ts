import { WattvoxError } from "@wattvox/core";
import type { EngineKey } from "@wattvox/runtime/tensorrt";

/** There is no such engine yet, and none is to be built here. */
export class EngineAbsent extends WattvoxError {
	/** Any of these would do, the first best. */
	readonly keys: readonly EngineKey[];

	constructor(keys: readonly EngineKey[], why: string) {
		super("E_ENGINE_NONE", why);
		this.keys = keys;
	}
}
