import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openBundle, sha256, trustKeys } from "@wattvox/bundle";
import type { House } from "./faults-house.ts";

/** Has the device say something. */
export async function say(
	h: House,
): Promise<{ status: number; bundle: string | null }> {
	const reply = await fetch(`${h.url}/v1/audio/speech`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ input: "Yes." }),
		signal: AbortSignal.timeout(20_000),
	});
	await reply.arrayBuffer();
	return {
		status: reply.status,
		bundle: reply.headers.get("x-wattvox-bundle"),
	};
}

/** Everything that lies on the device is what was signed. */
export async function inspect(h: House): Promise<string[]> {
	const wrong: string[] = [];
	const trust = trustKeys([h.key.publicKey]);
	const blobs = join(h.deviceDir, "store", "blobs", "sha256");
	// the device removes what nothing points to meanwhile: what is gone is not wrong
	for (const name of await readdir(blobs).catch(() => [])) {
		const bytes = await readFile(join(blobs, name)).catch(() => undefined);
		if (bytes && sha256(bytes) !== name)
			wrong.push(`blob ${name.slice(0, 8)} is not what its name says`);
	}
	const voices = join(h.deviceDir, "voices");
	for (const name of await readdir(voices).catch(() => []))
		if (!name.startsWith("."))
			await openBundle(join(voices, name), trust).catch(async (thrown) => {
				if ((await readdir(voices)).includes(name))
					wrong.push(`voice ${name.slice(0, 8)}: ${thrown.message}`);
			});
	return wrong;
}
