import type { Log } from "@wattvox/core";
import type { Reason } from "./planner.ts";
import type { Reporter } from "./reporter.ts";
import type { TrustKeeper } from "./trust-keeper.ts";
import type { Wishes } from "./wishes.ts";
import type { Work } from "./work.ts";

export interface InboxOptions {
	wishes: Wishes;
	trust: TrustKeeper;
	work: Work;
	reporter: Reporter;
	log: Log;
	/** There is something new to look at and to report. */
	onNews: () => void;
}

/** What comes from the fleet, unverified. What is refused changes nothing; it is said why. */
export class Inbox {
	readonly #o: InboxOptions;
	/** The last desired state, if nobody that is trusted signed it: a root that comes after it may tell who did. */
	#unknown: Buffer | undefined;

	constructor(options: InboxOptions) {
		this.#o = options;
	}

	/** A desired state. */
	desired(payload: Buffer): void {
		const { wishes, work, reporter, onNews } = this.#o;
		const heard = wishes.hear(payload);
		this.#unknown = undefined;
		if (heard === "known") return;
		if (heard !== "new") {
			this.#unknown = payload;
			this.#refuse(heard);
			return;
		}
		reporter.trouble(undefined);
		work.renew();
		work.yieldSearch();
		onNews();
	}

	/** Newer roots. */
	roots(payload: Buffer): void {
		const { trust, work, onNews } = this.#o;
		const heard = trust.hear(payload);
		if (heard === "known") return;
		if (heard === "new") {
			work.renew();
			// a broker gives what it kept in any order
			if (this.#unknown) this.desired(this.#unknown);
		} else this.#refuse(heard);
		onNews();
	}

	#refuse(reason: Reason): void {
		this.#o.log.warn({ code: reason.code }, `refused: ${reason.message}`);
		this.#o.reporter.trouble(reason);
	}
}
