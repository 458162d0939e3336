/** An engine that the speaker's process has open, and the voice that it is for. */
export interface OpenEngine {
	digest: string;
	engine: string;
}

/**
 * Which engines may be why the process ended: those of the voices that were being loaded or spoken with.
 * Where none of these has one, and none is being loaded, any of them may have been it. Pure.
 * @param loading voices that were being loaded
 * @param speaking voices with an utterance under way
 * @returns one for each voice at most
 */
export function suspects(
	open: readonly OpenEngine[],
	loading: ReadonlySet<string>,
	speaking: ReadonlySet<string>,
): OpenEngine[] {
	const one = [...new Map(open.map((o) => [o.digest, o])).values()];
	const at = one.filter((o) => loading.has(o.digest) || speaking.has(o.digest));
	// a voice that is loaded without an engine is suspected itself
	return at.length > 0 || loading.size > 0 ? at : one;
}
