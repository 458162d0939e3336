import { randomBytes } from "node:crypto";
import { openBundle } from "@wattvox/bundle";
import { type Clock, checkId, systemClock, WattvoxError } from "@wattvox/core";
import { Link, type LinkOptions } from "@wattvox/link";
import { type Publisher, publisherTrust, tellDevice } from "./desire.ts";
import type { Store } from "./open-store.ts";

export interface PublishOptions extends Publisher {
	fleet: string;
	devices: readonly string[];
	/** Only ever rises for a device. Default: the time, milliseconds since 1970. */
	revision?: number;
	/** The broker and how to get in. */
	broker: Omit<LinkOptions, "clientId" | "presence">;
	/** Id of the store server that offers `store` to devices. Default "store". */
	storeId?: string;
	/** How long the desired state may bring the update, milliseconds. Default 90 days. */
	validMs?: number;
	clock?: Clock;
	signal?: AbortSignal;
}

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
	const { fleet, signal, clock = systemClock } = options;
	const storeId = checkId(options.storeId ?? "store", "store id");
	const devices = options.devices.map((d) => checkId(d, "device id"));
	checkId(fleet, "fleet id");
	if (devices.length === 0)
		throw new WattvoxError("E_USAGE", "name the devices to publish to");
	const trust = publisherTrust(options, clock.wall());
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
	const { validMs } = options;
	const link = new Link({
		...options.broker,
		clientId: `publish-${randomBytes(8).toString("hex")}`,
	});
	await link.start(signal);
	try {
		for (const device of devices)
			await tellDevice(
				link,
				{ fleet, device, bundle: digest, store: storeId, revision },
				options,
				now,
				{
					...(validMs !== undefined && { validMs }),
					...(signal && { signal }),
				},
			);
	} finally {
		await link.stop();
	}
	return { digest, revision, devices };
}
