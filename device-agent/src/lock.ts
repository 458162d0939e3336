import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { asWattvoxError, WattvoxError } from "@wattvox/core";

/** Folders held by this very process: its own number in a left-over file means nothing. */
const held = new Set<string>();

/**
 * Takes a data folder for this process; two agents on one would undo each other's work.
 * A lock whose process is gone is taken over.
 * @returns gives it back
 * @throws WattvoxError E_BUSY, E_OUTPUT
 */
export async function lockDir(dir: string): Promise<() => Promise<void>> {
	const path = join(dir, "agent.pid");
	if (held.has(path)) throw busy(dir, process.pid);
	for (let attempt = 0; attempt < 2; attempt++) {
		try {
			const handle = await open(path, "wx");
			await handle.writeFile(String(process.pid));
			await handle.close();
			held.add(path);
			return async () => {
				if (!held.delete(path)) return;
				await rm(path, { force: true });
			};
		} catch (thrown) {
			if ((thrown as NodeJS.ErrnoException).code !== "EEXIST")
				throw new WattvoxError(
					"E_OUTPUT",
					`cannot write ${path}: ${asWattvoxError(thrown).message}`,
					{ cause: thrown },
				);
			const pid = Number(await readFile(path, "utf8").catch(() => "0"));
			if (pid !== process.pid && alive(pid)) throw busy(dir, pid);
			await rm(path, { force: true });
		}
	}
	throw busy(dir, 0);
}

/** Whether a process with this number runs. */
export function alive(pid: number): boolean {
	if (!Number.isInteger(pid) || pid <= 0) return false;
	try {
		process.kill(pid, 0);
		return true;
	} catch (thrown) {
		return (thrown as NodeJS.ErrnoException).code === "EPERM";
	}
}

function busy(dir: string, pid: number): WattvoxError {
	return new WattvoxError(
		"E_BUSY",
		`another agent (process ${pid}) uses ${dir}`,
	);
}
