import { randomBytes } from "node:crypto";
import {
	asWattvoxError,
	type Clock,
	systemClock,
	type WattvoxError,
} from "@wattvox/core";
import { JOULES_RATIO } from "@wattvox/energy";
import {
	decode,
	filter,
	Link,
	type LinkOptions,
	parseTopic,
	zPowerMessage,
} from "@wattvox/link";
import { type Publisher, publisherTrust, tellDevice } from "../desire.ts";
import { LiveFleet } from "../live/live-fleet.ts";
import { claimRollout } from "./claim.ts";
import { loadRollout, saveRollout, takeOrders } from "./files.ts";
import { type Offer, obey, type Seen, step } from "./planner.ts";
import type { RolloutState } from "./spec.ts";
import { SpeechWatch } from "./speech-watch.ts";
import { type RolloutView, rolloutView } from "./view.ts";

export interface RolloutRunnerOptions extends Pick<Publisher, "key" | "roots"> {
	/** Folder of the rollouts' files. */
	dir: string;
	/** The broker and how to get in. */
	broker: Omit<LinkOptions, "clientId" | "presence">;
	/** Between two steps, milliseconds. Default 1000. */
	tickMs?: number;
	/** Told whenever something changed. */
	onChange?: (view: RolloutView) => void;
	onError?: (error: WattvoxError) => void;
	clock?: Clock;
}

/**
 * Runs one rollout: looks, asks the planner, tells devices.
 *
 * INVARIANTS
 * - What is told is in the state's file first, so a runner that was killed goes on where it stopped,
 *   and tells again what may not have gone out: the same revision, which changes nothing twice.
 * - One runner at a time: a second one is told E_BUSY. What the one before left is read after it was
 *   taken over, never before.
 */
export class RolloutRunner {
	readonly #o: RolloutRunnerOptions;
	readonly #clock: Clock;
	#state: RolloutState;
	/** Devices that were away at the last look. */
	#away: ReadonlySet<string> = new Set();

	constructor(state: RolloutState, options: RolloutRunnerOptions) {
		this.#state = state;
		this.#o = options;
		this.#clock = options.clock ?? systemClock;
	}

	get state(): RolloutState {
		return this.#state;
	}

	/**
	 * Runs until the rollout is done and no failed device that is there may try again, or it is aborted.
	 * @param stay goes on after that, for devices that join later, come back or fall back
	 * @throws WattvoxError E_BUSY, E_BROKER, E_OUTPUT, E_KEY, E_EXPIRED (root); the signal's reason
	 */
	async run(signal: AbortSignal, stay = false): Promise<RolloutState> {
		const { dir, broker, tickMs = 1000 } = this.#o;
		const { id, fleet } = this.#state.spec;
		publisherTrust(this.#o, this.#clock.wall());
		const giveBack = await claimRollout(dir, id);
		const link = new Link({
			...broker,
			clientId: `publish-${randomBytes(8).toString("hex")}`,
			queueLimit: 100_000,
		});
		try {
			this.#state = await loadRollout(dir, id);
			await link.start(signal);
			const live = new LiveFleet({
				link,
				fleet,
				now: () => this.#clock.wall(),
			});
			// a publisher may not read what is desired; it knows
			await live.start(signal, ["presence", "reported"]);
			const watch = new SpeechWatch();
			await link.subscribe(
				filter("power", fleet),
				(name, payload) => {
					const report = decode(zPowerMessage, payload);
					if (report && parseTopic(name)?.device === report.device)
						watch.heard(report);
				},
				signal,
			);
			await this.#save();
			await this.#tell(link, this.#standing(), signal);
			while (!this.#over(stay)) {
				signal.throwIfAborted();
				try {
					await this.#tick(link, live, watch, signal);
				} catch (thrown) {
					signal.throwIfAborted();
					// such as a broker that is away for a while
					this.#o.onError?.(asWattvoxError(thrown));
				}
				if (!this.#over(stay)) await this.#clock.sleep(tickMs, signal);
			}
			return this.#state;
		} finally {
			await link.stop();
			await giveBack();
		}
	}

	async #tick(
		link: Link,
		live: LiveFleet,
		watch: SpeechWatch,
		signal: AbortSignal,
	): Promise<void> {
		const now = this.#clock.wall();
		for (const order of await takeOrders(this.#o.dir, this.#state.spec.id)) {
			const obeyed = obey(this.#state, order, now);
			await this.#become(obeyed.state);
			await this.#tell(link, obeyed.offers, signal);
		}
		watch.since(this.#state.settledAt);
		const view = new Map<string, Seen>();
		const away = new Set<string>();
		for (const { device, online, reported, deviceClass } of live.devices()) {
			view.set(device, {
				...{ online, reported, kind: deviceClass ?? "" },
				speech: watch.of(device, reported?.bundle ?? null),
				workload: reported?.joules?.figure,
			});
			if (online === false) away.add(device);
		}
		this.#away = away;
		const next = step(this.#state, view, now);
		await this.#become(next.state);
		await this.#tell(link, next.offers, signal);
	}

	async #become(state: RolloutState): Promise<void> {
		if (state === this.#state) return;
		this.#state = state;
		await this.#save();
	}

	async #save(): Promise<void> {
		await saveRollout(this.#o.dir, this.#state);
		this.#o.onChange?.(rolloutView(this.#state));
	}

	/** What devices have been told and may not have heard. */
	#standing(): Offer[] {
		const { spec, devices, status } = this.#state;
		if (status === "aborted") return [];
		return Object.entries(devices).flatMap(([device, p]) =>
			p.status === "offered" && p.revision !== null
				? [{ device, bundle: spec.bundle, revision: p.revision }]
				: [],
		);
	}

	async #tell(
		link: Link,
		offers: readonly Offer[],
		signal: AbortSignal,
	): Promise<void> {
		const { fleet, store, bundle, maxRatio } = this.#state.spec;
		// one limit for the gate and for the devices; the default is theirs already
		const limits = maxRatio !== JOULES_RATIO && {
			limits: { joulesRatio: maxRatio },
		};
		const now = this.#clock.wall();
		await Promise.all(
			offers.map((offer) =>
				tellDevice(
					link,
					{
						...{ fleet, store, ...offer },
						...(offer.bundle === bundle && limits),
					},
					this.#o,
					now,
					{ signal },
				),
			),
		);
	}

	#over(stay: boolean): boolean {
		const { status, devices, spec } = this.#state;
		if (status === "aborted") return true;
		if (status !== "done" || stay) return false;
		// one that is away finds its offer at the broker when it comes back
		return Object.entries(devices).every(
			([device, p]) =>
				p.status === "good" ||
				(p.status === "failed" &&
					(p.tries >= spec.tries || this.#away.has(device))),
		);
	}
}
