// Players that are shell scripts. Not a test itself.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Player } from "./player.ts";

/** A player that does what a script says; its arguments and its folder are the script's own. */
export async function fakePlayer(
	t: { teardown(f: () => unknown): void },
	script: string,
): Promise<Player & { dir: string }> {
	const dir = await mkdtemp(join(tmpdir(), "wattvox-player-"));
	t.teardown(() => rm(dir, { recursive: true }));
	const program = join(dir, "aplay");
	await writeFile(program, `#!/bin/sh\ncd "$(dirname "$0")"\n${script}\n`, {
		mode: 0o755,
	});
	return { system: "make-believe", program, args: (rate) => [`${rate}`], dir };
}
