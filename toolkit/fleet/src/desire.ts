import {
	checkTrustTime,
	type PrivateKey,
	RootTrust,
	type Trust,
	trustKeys,
} from "@wattvox/bundle";
import { WattvoxError } from "@wattvox/core";
import { type Desired, encodeDesired, type Link, topic } from "@wattvox/link";

/** How long a desired state stands: enough for a device in a drawer, short enough to notice a frozen broker. */
export const DESIRED_MS = 90 * 24 * 3600_000;

/** Who tells devices what to run, and by which keys. */
export interface Publisher {
	/** The fleet's key: signs the desired state. */
	key: PrivateKey;
	/** Roots that devices are to follow, published beside: the bytes of a root file. */
	roots?: Uint8Array;
	/** Keys that may have signed the bundle. Default: those of the roots, else `key` alone. */
	trust?: Trust;
}

/**
 * What a publisher believes.
 * @throws WattvoxError E_KEY (no device that follows the roots would obey this key), E_EXPIRED (root),
 * E_FILE_FORMAT, E_SIGNATURE
 */
export function publisherTrust(
	{ key, roots, trust }: Publisher,
	now: number,
): Trust {
	const followed = roots && RootTrust.open(roots);
	const believed = trust ?? followed ?? trustKeys([key.publicKey]);
	checkTrustTime(believed, now);
	if (followed) checkTrustTime(followed, now);
	if (followed && !followed.find(key.id, "desired"))
		throw new WattvoxError(
			"E_KEY",
			`key ${key.id.slice(0, 16)} is not a fleet key of this root: no device would obey it`,
		);
	return believed;
}

/** What one device is to run. */
export interface Wish {
	fleet: string;
	device: string;
	/** Digest. */
	bundle: string;
	/** Id of the store to ask. */
	store: string;
	/** Only ever rises for a device. */
	revision: number;
	/** What it may draw, in place of the device's own limits. */
	limits?: Desired["limits"];
}

/**
 * Leaves one retained, signed desired state with a device, and before it the roots.
 * @param now milliseconds since 1970
 * @throws WattvoxError E_BROKER, E_BUSY; the signal's reason
 */
export async function tellDevice(
	link: Link,
	wish: Wish,
	by: Publisher,
	now: number,
	options: { validMs?: number; signal?: AbortSignal } = {},
): Promise<void> {
	const { validMs = DESIRED_MS, signal } = options;
	const { fleet, device } = wish;
	const how = { qos: 1, retain: true, ...(signal && { signal }) } as const;
	const desired = encodeDesired(
		{
			...{ v: 1, ...wish },
			at: new Date(now).toISOString(),
			expires: new Date(now + validMs).toISOString(),
		},
		by.key,
	);
	// first, so that a device meets the new keys before what they signed
	if (by.roots)
		await link.publish(
			topic(fleet, device, "root"),
			Buffer.from(by.roots),
			how,
		);
	await link.publish(topic(fleet, device, "desired"), desired, how);
}
