import { claim, claimantOf } from "@wattvox/core";

/**
 * Takes a rollout for this process, so that no other drives it too.
 * @returns gives it back; idempotent
 * @throws WattvoxError E_BUSY when a process that lives has it; E_USAGE (id), E_OUTPUT
 */
export function claimRollout(
	dir: string,
	id: string,
): Promise<() => Promise<void>> {
	return claim(dir, id, (pid) =>
		pid === undefined
			? `another process takes rollout ${id} just now`
			: `process ${pid} runs rollout ${id}`,
	);
}

/** The process that runs a rollout; undefined when none does. @throws WattvoxError E_USAGE (id) */
export function runnerOf(dir: string, id: string): Promise<number | undefined> {
	return claimantOf(dir, id);
}
