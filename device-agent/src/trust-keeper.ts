import { checkTrustTime, RootTrust, type Trust } from "@wattvox/bundle";
import { asWattvoxError, type Log } from "@wattvox/core";
import type { Desired } from "@wattvox/link";
import type { Floors } from "./floors.ts";
import type { Reason } from "./planner.ts";
import type { DeviceState } from "./state.ts";

export interface TrustKeeperOptions {
	trust: Trust;
	state: DeviceState;
	floors: Floors;
	log: Log;
}

/**
 * Whom the device trusts, and for how long.
 *
 * INVARIANTS
 * - A newer root counts when it is heard, and is on disk before the next step ({@link keep}).
 * - What has expired stops updates, and nothing else.
 */
export class TrustKeeper {
	readonly #o: TrustKeeperOptions;
	/** Version of the root that is on disk. */
	#kept = 0;

	constructor(options: TrustKeeperOptions) {
		this.#o = options;
	}

	/** The roots and floors of earlier runs, before anything is believed by them. */
	async recall(): Promise<void> {
		const { trust, state, floors, log } = this.#o;
		if (trust instanceof RootTrust) {
			const broken = await state.recallRoots(trust);
			if (broken) log.error({ code: broken.code }, broken.message);
			this.#kept = trust.root.version;
		}
		await floors.recall();
	}

	/**
	 * Hears of newer roots.
	 * @returns "new"; "known": not newer, or this device follows none; or why they are refused
	 */
	hear(payload: Buffer): "new" | "known" | Reason {
		const { trust, log } = this.#o;
		if (!(trust instanceof RootTrust)) return "known";
		try {
			if (!trust.update(payload)) return "known";
			log.info({ version: trust.root.version }, "a new root is trusted");
			return "new";
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			return { code, message };
		}
	}

	/** Brings the newest root to disk. @throws WattvoxError E_OUTPUT, E_DISK_FULL */
	async keep(): Promise<void> {
		const { trust, state } = this.#o;
		if (!(trust instanceof RootTrust)) return;
		const { version } = trust.root;
		if (version === this.#kept) return;
		await state.setRoots(trust);
		this.#kept = version;
	}

	/**
	 * Why no update may begin; null: it may.
	 * @param now wall clock, ms
	 */
	stale(desired: Desired | null, now: number): Reason | null {
		const expires = desired?.expires;
		if (expires !== undefined && Date.parse(expires) <= now)
			return {
				code: "E_EXPIRED",
				message: `the desired state expired on ${expires}`,
			};
		try {
			checkTrustTime(this.#o.trust, now);
			return null;
		} catch (thrown) {
			const { code, message } = asWattvoxError(thrown);
			return { code, message };
		}
	}
}
