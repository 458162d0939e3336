/** Which bundle speaks, as the pointer file says. */
export interface Active {
	digest: string;
	/** Revision of the desired state that it came by. */
	revision: number;
	/** The last good one before it; null when there was none. */
	previous: string | null;
	/** Good ones before that, newest first; they stay laid out. */
	earlier?: readonly string[];
}

/** Last good voices that a device keeps beside the one that speaks, unless it is told otherwise. */
export const GOOD_KEPT = 3;
/** As many as it may be told to keep. */
export const GOOD_MOST = 9;

/** Every voice that the pointer names: each has proved itself here. The one that speaks is first. */
export function goodOnes(active: Active): string[] {
	const { digest, previous, earlier = [] } = active;
	const all = [digest, previous, ...earlier];
	return [...new Set(all)].filter((d): d is string => d !== null);
}

/**
 * The pointer after `digest` proved itself: what spoke until now is the last good one.
 * @param kept good ones beside it, 1 at least
 */
export function promoted(
	before: Active | null,
	digest: string,
	revision: number,
	kept = GOOD_KEPT,
): Active {
	const good = before ? goodOnes(before) : [];
	const [previous = null, ...earlier] = good
		.filter((d) => d !== digest)
		.slice(0, Math.max(1, kept));
	return { digest, revision, previous, earlier };
}

/** The pointer after what spoke was given up; `active.previous` must not be null. */
export function demoted(active: Active): Active {
	const [previous = null, ...earlier] = active.earlier ?? [];
	const { revision } = active;
	return {
		digest: active.previous ?? active.digest,
		revision,
		previous,
		earlier,
	};
}

/** The pointer without one of the good ones before the voice that speaks. */
export function without(active: Active, digest: string): Active {
	const { digest: now, revision } = active;
	const [previous = null, ...earlier] = goodOnes(active).filter(
		(d) => d !== digest && d !== now,
	);
	return { digest: now, revision, previous, earlier };
}
