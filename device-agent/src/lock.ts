import { claim, claimantOf } from "@wattvox/core";

/** The agent's name among what lies in its folder. */
const NAME = "agent";

/**
 * Takes a data folder for this process; two agents on one would undo each other's work.
 * The lock of a process that is gone is taken over.
 * @returns gives it back; idempotent
 * @throws WattvoxError E_BUSY, E_OUTPUT
 */
export function lockDir(dir: string): Promise<() => Promise<void>> {
	return claim(dir, NAME, (pid) =>
		pid === undefined
			? `another agent takes ${dir} just now`
			: `another agent (process ${pid}) uses ${dir}`,
	);
}

/** The process whose agent uses a data folder; undefined when none does. */
export function agentOf(dir: string): Promise<number | undefined> {
	return claimantOf(dir, NAME);
}
