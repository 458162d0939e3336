import { type BundleFile, type Manifest, parseManifest } from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import type { Link } from "@wattvox/link";
import type { Store } from "./open-store.ts";
import { listRollouts } from "./rollout/files.ts";
import { surveyFleet } from "./rollout/survey.ts";

/** A bundle that a store holds. Its signature is not looked at here: devices do that. */
export interface StoredBundle {
	digest: string;
	manifest: Manifest;
	/** Bytes of its files. */
	bytes: number;
	/** Bytes of those that no other bundle of the store lists: what its removal frees. */
	ownBytes: number;
}

/**
 * What a store holds, the newest first.
 * @throws WattvoxError E_FILE_FORMAT (a manifest cannot be read), E_PULL (S3)
 */
export async function storedBundles(
	store: Store,
	signal?: AbortSignal,
): Promise<StoredBundle[]> {
	const found: { digest: string; manifest: Manifest }[] = [];
	for (const digest of await store.bundles()) {
		signal?.throwIfAborted();
		const files = await store.readManifest(digest);
		// one that was taken out meanwhile
		if (files) found.push({ digest, manifest: parseManifest(files.bytes) });
	}
	const uses = new Map<string, number>();
	for (const { manifest } of found)
		for (const sha256 of blobs([manifest]).keys())
			uses.set(sha256, (uses.get(sha256) ?? 0) + 1);
	return found
		.map((bundle) => {
			const files = [...blobs([bundle.manifest]).values()];
			const own = files.filter((f) => uses.get(f.sha256) === 1);
			return { ...bundle, bytes: total(files), ownBytes: total(own) };
		})
		.toSorted((a, b) => (a.manifest.created < b.manifest.created ? 1 : -1));
}

/** Somebody who needs a bundle in the store. */
export interface BundleUse {
	/** Digest. */
	bundle: string;
	/** In words. */
	by: string;
}

/**
 * Who may still pull bundles: devices whose desired state names one, and rollouts that have not ended, for
 * what they bring and what they go back to. Desired states are believed unverified: that errs on the side
 * of what stays.
 * @param rollouts folder of the fleet's rollouts
 * @returns the uses, and how many devices the broker knows
 * @throws WattvoxError E_BROKER, also when this account is not shown desired states that must be there;
 * the signal's reason
 */
export async function bundleUses(
	link: Link,
	rollouts: string,
	signal: AbortSignal,
): Promise<{ uses: BundleUse[]; devices: number }> {
	const devices = await surveyFleet(link, undefined, signal, {
		kinds: ["reported", "desired"],
	});
	const uses: BundleUse[] = [];
	for (const { fleet, device, desired, reported } of devices) {
		if (desired)
			uses.push({ bundle: desired.bundle, by: `device ${fleet}/${device}` });
		else if (reported?.revision)
			throw new WattvoxError(
				"E_BROKER",
				`${fleet}/${device} follows a desired state that this account is not shown: the account "collector" is`,
			);
	}
	for (const { spec, status } of await listRollouts(rollouts)) {
		if (status === "done" || status === "aborted") continue;
		for (const bundle of [spec.bundle, spec.previous])
			if (bundle) uses.push({ bundle, by: `rollout ${spec.id} (${status})` });
	}
	return { uses, devices: devices.length };
}

/** What goes when bundles are taken out of a store. */
export interface Removal {
	bundles: StoredBundle[];
	/** Blobs that no bundle lists that stays. */
	blobs: Pick<BundleFile, "sha256" | "size">[];
	/** Of these blobs. */
	bytes: number;
}

/**
 * What would go.
 * @param wanted digests, or beginnings of 8 digits and more that fit one bundle
 * @throws WattvoxError E_FILE_MISSING, E_USAGE (fits several), E_FILE_FORMAT (a manifest cannot be read:
 * which blobs it lists is not known, so all stay), E_PULL
 */
export async function planRemoval(
	store: Store,
	wanted: readonly string[],
	signal?: AbortSignal,
): Promise<Removal> {
	const all = await storedBundles(store, signal);
	const bundles = [...new Set(wanted.map((name) => named(all, name)))];
	const stay = all.filter((b) => !bundles.includes(b));
	const kept = blobs(stay.map((b) => b.manifest));
	const gone = [...blobs(bundles.map((b) => b.manifest)).values()].filter(
		(f) => !kept.has(f.sha256),
	);
	return {
		bundles,
		blobs: gone.map(({ sha256, size }) => ({ sha256, size })),
		bytes: total(gone),
	};
}

/**
 * Takes bundles out: first their manifests, so that nobody is offered them, then their blobs. A crash on
 * the way leaves blobs that nobody lists, and no bundle that is not whole.
 *
 * A store has no lock. A bundle that is published meanwhile and lists one of these blobs keeps it when it
 * is there in time; otherwise that is found and said.
 * @throws WattvoxError E_BUSY (published meanwhile, and not whole), E_OUTPUT, E_PULL
 */
export async function removeBundles(
	store: Store,
	removal: Removal,
	signal?: AbortSignal,
): Promise<void> {
	for (const { digest } of removal.bundles) await store.forget(digest);
	const now = await storedBundles(store, signal);
	const kept = blobs(now.map((b) => b.manifest));
	const gone = removal.blobs.filter((b) => !kept.has(b.sha256));
	for (const { sha256 } of gone) await store.removeBlob(sha256);
	const lost = new Set(gone.map((b) => b.sha256));
	for (const { digest, manifest } of await storedBundles(store)) {
		if (manifest.files.every((f) => !lost.has(f.sha256))) continue;
		await store.forget(digest);
		throw new WattvoxError(
			"E_BUSY",
			`${digest} was published meanwhile and lost files with this: it was taken out, publish it again`,
		);
	}
}

function named(all: readonly StoredBundle[], name: string): StoredBundle {
	const fit = /^[0-9a-f]{8,64}$/.test(name)
		? all.filter((b) => b.digest.startsWith(name))
		: [];
	if (fit.length > 1)
		throw new WattvoxError("E_USAGE", `${name} fits ${fit.length} bundles`);
	if (!fit[0])
		throw new WattvoxError(
			"E_FILE_MISSING",
			`the store has no bundle ${name} (a digest, or 8 digits of one)`,
		);
	return fit[0];
}

function blobs(manifests: readonly Manifest[]): Map<string, BundleFile> {
	return new Map(
		manifests.flatMap((m) => m.files.map((f) => [f.sha256, f] as const)),
	);
}

const total = (files: readonly { size: number }[]): number =>
	files.reduce((sum, f) => sum + f.size, 0);
