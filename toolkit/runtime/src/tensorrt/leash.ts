/** Private memory of a child when nothing else is asked for, bytes. */
export const MEMORY_BYTES = 2 * 2 ** 30;

/** What `leashed` starts programs with: all of package util-linux. */
export const LEASH = ["setpriv", "prlimit"] as const;

/**
 * A command line that runs a program as TensorRT's children are run: with a limit on its private memory,
 * without a core file, which would be as large as the process, and killed by the kernel when the thread that
 * started it is gone, however that ended. The process stays the same one throughout: its id is the program's.
 * @param memoryBytes RLIMIT_DATA
 * @returns the program to start, and its arguments
 */
export function leashed(
	memoryBytes: number,
	program: string,
	args: readonly string[],
): [string, string[]] {
	const [death, limits] = LEASH;
	return [
		death,
		[
			...["--pdeathsig", "KILL", "--"],
			...[limits, `--data=${memoryBytes}`, "--core=0", "--"],
			...[program, ...args],
		],
	];
}
