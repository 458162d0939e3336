import type { Progress } from "@wattvox/core";
import { asWattvoxError, WattvoxError } from "@wattvox/core";

/**
 * Checks a voice folder before it is loaded: with keys, signature and files; without, the files
 * against their manifest, and it is said that nobody vouched for them.
 * @throws WattvoxError as `openBundle`; E_TAMPERED, E_KEY
 */
export async function checkVoice(
	dir: string,
	trust: readonly string[],
	{ progress, signal }: { progress: Progress; signal: AbortSignal },
): Promise<void> {
	const { inspectBundle, loadTrust, openBundle } = await import(
		"@wattvox/bundle"
	);
	if (trust.length > 0) {
		await openBundle(dir, await loadTrust(trust), { signal });
		return;
	}
	try {
		const { problems } = await inspectBundle(dir);
		if (problems.length > 0)
			throw new WattvoxError("E_TAMPERED", `${dir}: ${problems.join(", ")}`);
		progress.note("signature not checked: no --trust");
	} catch (thrown) {
		// a folder of plain files is a voice too, on the way to becoming a bundle
		if (asWattvoxError(thrown).code !== "E_FILE_MISSING") throw thrown;
		progress.note(`${dir} is not a bundle: nothing vouches for its files`);
	}
}
