import { randomBytes } from "node:crypto";
import {
	checkTrustTime,
	openBundle,
	type PrivateKey,
	RootTrust,
	type Trust,
	trustKeys,
} from "@wattvox/bundle";
import { type Clock, checkId, systemClock, WattvoxError } from "@wattvox/core";
import { encodeDesired, Link, type LinkOptions, topic } from "@wattvox/link";
import type { Store } from "./open-store.ts";

export interface PublishOptions {
	fleet: string;
	devices: readonly string[];
	/** Only ever rises for a device. Default: the time, milliseconds since 1970. */
	revision?: number;
	/** The fleet's key: signs the desired state. */
	key: PrivateKey;
	/** Keys that may have signed the bundle. Default: `key` alone. */
	trust?: Trust;
	/** The broker and how to get in. */
	broker: Omit<LinkOptions, "clientId" | "presence">;
	/** Id of the store server that offers `store` to devices. Default "store". */
	storeId?: string;
	/** Roots that the devices are to follow, published beside: the bytes of a root file. */
	roots?: Uint8Array;
	/** How long the desired state may bring the update, milliseconds. Default 90 days. */
	validMs?: number;
	clock?: Clock;
	signal?: AbortSignal;
}

/** Long enough for a device that is switched off in a drawer, short enough to notice a frozen broker. */
const VALID_MS = 90 * 24 * 3600_000;

export interface Published {
	/** The bundle's digest. */
	digest: string;
	revision: number;
	devices: string[];
}

/**
 * Puts a bundle into a store and tells devices to run it: one retained, signed desired state each.
 * Nothing is published unless the bundle verifies and is whole in the store.
 * @throws as `openBundle`; WattvoxError E_EXPIRED (bundle or root), E_KEY, E_USAGE (ids), E_OUTPUT, E_DISK_FULL, E_BROKER;
 * the signal's reason
 */
export async function publish(
	bundleDir: string,
	store: Store,
	options: PublishOptions,
): Promise<Published> {
	const { fleet, key, signal, clock = systemClock } = options;
	const storeId = checkId(options.storeId ?? "store", "store id");
	const devices = options.devices.map((d) => checkId(d, "device id"));
	checkId(fleet, "fleet id");
	if (devices.length === 0)
		throw new WattvoxError("E_USAGE", "name the devices to publish to");
	const { roots } = options;
	const trust =
		options.trust ??
		(roots ? RootTrust.open(roots) : trustKeys([key.publicKey]));
	checkTrustTime(trust, clock.wall());
	if (roots && !trust.find(key.id, "desired"))
		throw new WattvoxError(
			"E_KEY",
			`key ${key.id.slice(0, 16)} is not a fleet key of this root: no device would obey it`,
		);
	const bundle = await openBundle(bundleDir, trust, {
		now: clock.wall(),
		...(signal && { signal }),
	});
	if (bundle.expired)
		throw new WattvoxError(
			"E_EXPIRED",
			`${bundleDir} expired on ${bundle.manifest.expires}`,
		);
	const digest = await store.put(bundleDir, trust, signal);
	const revision = options.revision ?? clock.wall();
	const now = clock.wall();
	const expires = new Date(now + (options.validMs ?? VALID_MS)).toISOString();
	const link = new Link({
		...options.broker,
		clientId: `publish-${randomBytes(8).toString("hex")}`,
	});
	await link.start(signal);
	try {
		for (const device of devices) {
			const desired = encodeDesired(
				{
					v: 1,
					fleet,
					device,
					bundle: digest,
					store: storeId,
					revision,
					at: new Date(now).toISOString(),
					expires,
				},
				key,
			);
			// first, so that a device meets the new keys before what they signed
			if (roots)
				await link.publish(topic(fleet, device, "root"), Buffer.from(roots), {
					qos: 1,
					retain: true,
					...(signal && { signal }),
				});
			await link.publish(topic(fleet, device, "desired"), desired, {
				qos: 1,
				retain: true,
				...(signal && { signal }),
			});
		}
	} finally {
		await link.stop();
	}
	return { digest, revision, devices };
}
