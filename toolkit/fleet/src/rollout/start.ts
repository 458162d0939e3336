import { randomBytes } from "node:crypto";
import { NO_CONSENT, openBundle, RootTrust, type Trust } from "@wattvox/bundle";
import { type Clock, checkId, systemClock, WattvoxError } from "@wattvox/core";
import { Link, type LinkOptions } from "@wattvox/link";
import { type Publisher, publisherTrust } from "../desire.ts";
import type { Store } from "../open-store.ts";
import { checkRollout } from "./check.ts";
import { checkEngines } from "./engines.ts";
import { createRollout, listRollouts } from "./files.ts";
import { beginning, type RolloutSpec, type RolloutState } from "./spec.ts";
import { surveyFleet } from "./survey.ts";

export interface PrepareRolloutOptions extends Publisher {
	/** Folder of the rollouts' files. */
	dir: string;
	/** The bundle's folder. */
	bundleDir: string;
	/** Where it is put for devices to pull. */
	store: Store;
	/** The broker and how to get in. */
	broker: Omit<LinkOptions, "clientId" | "presence">;
	/** Whether a bundle without a consent statement may go out. */
	withoutConsent?: boolean;
	/**
	 * Refuses a rollout while a class of devices that speak by TensorRT lacks an engine.
	 * @param trust the devices' own: the roots', where there are any
	 * @returns the classes that have a signed engine for the bundle
	 */
	engines?: (trust: Trust) => Promise<ReadonlySet<string>>;
	clock?: Clock;
}

/**
 * Makes a rollout ready to run: the bundle is verified and in the store, the fleet was looked at, and
 * the rollout makes sense for it. No device is told anything yet, and nothing is left behind by a
 * rollout that is refused.
 * @param spec without a digest: it is the bundle's; without an id it is named after that
 * @throws as `openBundle`; WattvoxError E_EXPIRED (bundle or root), E_KEY, E_CONSENT, E_USAGE, E_BUSY,
 * E_BROKER, E_OUTPUT, E_DISK_FULL; the signal's reason
 */
export async function prepareRollout(
	spec: Omit<RolloutSpec, "bundle" | "id"> & { id?: string | undefined },
	options: PrepareRolloutOptions,
	signal: AbortSignal,
): Promise<RolloutState> {
	const { dir, bundleDir, store, broker, clock = systemClock } = options;
	checkId(spec.fleet, "fleet id");
	if (spec.id !== undefined) checkId(spec.id, "rollout id");
	const trust = publisherTrust(options, clock.wall());
	const bundle = await openBundle(bundleDir, trust, {
		now: clock.wall(),
		signal,
	});
	const { expires, consent } = bundle.manifest;
	if (bundle.expired)
		throw new WattvoxError("E_EXPIRED", `${bundleDir} expired on ${expires}`);
	if (consent.statement === NO_CONSENT && !options.withoutConsent)
		throw new WattvoxError(
			"E_CONSENT",
			`${bundleDir} does not say what its speaker agreed to`,
		);
	const { previous } = spec;
	if (previous !== null && !(await store.readManifest(previous)))
		throw new WattvoxError(
			"E_USAGE",
			`the store has no bundle ${previous} to go back to (--previous)`,
		);
	const built = await options.engines?.(
		options.roots ? RootTrust.open(options.roots) : trust,
	);
	const id = spec.id ?? `to-${bundle.digest.slice(0, 12)}`;
	const full = { ...spec, id, bundle: bundle.digest };
	const link = new Link({
		...broker,
		clientId: `publish-${randomBytes(8).toString("hex")}`,
	});
	await link.start(signal);
	const known = await surveyFleet(link, spec.fleet, signal, { clock }).finally(
		() => link.stop(),
	);
	const chosen = checkRollout(
		full,
		known.map(({ device, deviceClass, reported }) => ({
			...{ device, deviceClass, measured: reported?.measured },
		})),
		await listRollouts(dir),
	);
	if (built) {
		const targets = new Set(chosen);
		checkEngines(
			known
				.filter((d) => targets.has(d.device))
				.map(({ device, deviceClass, reported }) => ({
					...{ device, deviceClass, runtime: reported?.runtime },
				})),
			built,
		);
	}
	await store.put(bundleDir, trust, signal);
	const state = beginning(full, chosen, clock.wall());
	await createRollout(dir, state);
	return state;
}
