import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openSealed, type Trust } from "@wattvox/bundle";
import { type Attestation, parseAttestation } from "@wattvox/energy";

/** An attestation and how far it can be believed. */
export interface FoundAttestation {
	attestation: Attestation;
	signer: string;
	signature: "trusted" | "unknown" | "bad";
}

/**
 * The attestations of a bundle in a folder, `DIR/DIGEST/*.json`. Files that are none, or that speak of
 * another bundle, are left out and named.
 */
export async function findAttestations(
	dir: string,
	digest: string,
	trust?: Trust,
): Promise<{ found: FoundAttestation[]; skipped: string[] }> {
	const folder = join(dir, digest);
	const names = await readdir(folder).catch(() => [] as string[]);
	const found: FoundAttestation[] = [];
	const skipped: string[] = [];
	for (const name of names.filter((n) => n.endsWith(".json")).sort())
		try {
			const bytes = await readFile(join(folder, name));
			const { value, ...rest } = openSealed("attestation", bytes, trust);
			const attestation = parseAttestation(value);
			// Moved here from another bundle's folder: it says nothing of this one.
			if (attestation.bundle !== digest) throw new Error("another bundle");
			found.push({ attestation, ...rest });
		} catch {
			skipped.push(name);
		}
	return { found, skipped };
}

/** The bundles that a folder has attestations of. */
export async function attestedBundles(dir: string): Promise<string[]> {
	const names = await readdir(dir).catch(() => [] as string[]);
	return names.filter((name) => /^[0-9a-f]{64}$/.test(name)).sort();
}
