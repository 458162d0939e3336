import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * A program's path: the first executable file of that name in PATH, then in `more`.
 * @returns undefined when there is none
 */
export function findProgram(
	name: string,
	env: NodeJS.ProcessEnv = process.env,
	more: readonly string[] = [],
): string | undefined {
	const dirs = [...(env.PATH ?? "").split(delimiter).filter(Boolean), ...more];
	for (const dir of dirs) {
		const path = join(dir, name);
		try {
			accessSync(path, constants.X_OK);
			return path;
		} catch {
			// the next folder
		}
	}
	return undefined;
}
