import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Jetson Linux's release ("36.4.3") and the board's name, null where there is none. */
export async function board(
	root = "/",
): Promise<{ l4t: string | null; module: string | null }> {
	const release = await textOf(join(root, "etc/nv_tegra_release"));
	// "# R36 (release), REVISION: 4.3, ..."
	const match = /# R(\d+) \(release\), REVISION: ([\d.]+)/.exec(release ?? "");
	const model = await textOf(join(root, "proc/device-tree/model"));
	return {
		l4t: match ? `${match[1]}.${match[2]}` : null,
		module: model?.replaceAll("\0", "").trim() || null,
	};
}

async function textOf(path: string): Promise<string | null> {
	try {
		return await readFile(path, "utf8");
	} catch {
		return null;
	}
}
