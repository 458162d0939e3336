import { readdirSync, readFileSync } from "node:fs";

/**
 * The children of a process, listed under the thread that started each; none where /proc does not show
 * them (CONFIG_PROC_CHILDREN) or the process is gone.
 * @param proc folder that stands for /proc, for tests
 */
export function childrenOf(pid: number, proc = "/proc"): number[] {
	try {
		return readdirSync(`${proc}/${pid}/task`).flatMap((thread) =>
			readFileSync(`${proc}/${pid}/task/${thread}/children`, "utf8")
				.split(" ")
				.filter(Boolean)
				.map(Number),
		);
	} catch {
		return [];
	}
}

/** All that descends from a process, without itself. */
export function descendantsOf(pid: number, proc = "/proc"): number[] {
	const found: number[] = [];
	const queue = childrenOf(pid, proc);
	for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
		found.push(next);
		queue.push(...childrenOf(next, proc));
	}
	return found;
}
