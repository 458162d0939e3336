// What a device may look like to its planner, for tests.
import type { View } from "./planner.ts";

export const A = "a".repeat(64);
export const B = "b".repeat(64);
export const C = "c".repeat(64);
export const reason = { code: "E_MODEL", message: "broken" } as const;
export const dear = { code: "E_JOULES", message: "too much" } as const;

export function view(change: Partial<View> = {}): View {
	return {
		now: 1000,
		desired: null,
		stale: null,
		active: null,
		stored: new Set(),
		staged: new Set(),
		laidOut: new Set(),
		passed: new Set(),
		rejected: new Map(),
		speaker: { up: true, digest: null, failed: null },
		retryAt: null,
		...change,
	};
}

export const desired = (bundle: string, revision = 1) => ({
	bundle,
	revision,
	store: "store",
});
export const active = (digest: string, previous: string | null = null) => ({
	digest,
	revision: 1,
	previous,
});
export const speaks = (digest: string | null) => ({
	up: true,
	digest,
	failed: null,
});
/** A runs well. */
export const running = {
	desired: desired(A),
	active: active(A),
	stored: new Set([A]),
	laidOut: new Set([A]),
	speaker: speaks(A),
};
/** The same, with a good voice before it. */
export const measured = {
	...running,
	active: active(A, B),
	stored: new Set([A, B]),
	laidOut: new Set([A, B]),
};
