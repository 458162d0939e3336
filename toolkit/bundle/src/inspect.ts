import { checkFiles, readManifestFiles } from "./bundle.ts";
import type { Trust } from "./keys.ts";
import {
	bundleDigest,
	isExpired,
	type Manifest,
	parseManifest,
} from "./manifest.ts";
import { parseSignature, signatureHolds } from "./signature.ts";

/** What a bundle is, who signed it, what it cost, and what is wrong with it. */
export interface Inspection {
	digest: string;
	manifest: Manifest;
	/** Key id. */
	signer: string;
	/** "unknown": signed by a key that is not trusted here, so nothing can be said about it. */
	signature: "trusted" | "unknown" | "bad";
	expired: boolean;
	/** Of all files, bytes. */
	bytes: number;
	/** Empty when every file is what the manifest lists. */
	problems: string[];
}

/**
 * Looks at a bundle without trusting it: for people, never on the way to loading it.
 * @throws WattvoxError E_FILE_MISSING, E_SIGNATURE (no readable signature), E_FILE_FORMAT
 */
export async function inspectBundle(
	dir: string,
	trust?: Trust,
	now: number = Date.now(),
): Promise<Inspection> {
	const files = await readManifestFiles(dir);
	const signature = parseSignature(files.signature);
	const key = trust?.find(signature.key, "manifest");
	const holds = key && signatureHolds("manifest", files.bytes, signature, key);
	const manifest = parseManifest(files.bytes);
	return {
		digest: bundleDigest(files.bytes),
		manifest,
		signer: signature.key,
		signature: !key ? "unknown" : holds ? "trusted" : "bad",
		expired: isExpired(manifest, now),
		bytes: manifest.files.reduce((sum, f) => sum + f.size, 0),
		problems: await checkFiles(dir, manifest),
	};
}
