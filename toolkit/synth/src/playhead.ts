/**
 * How far a player can be by the clock, from what it was given and when: it plays from its first samples
 * on, and never faster than the clock. A player that begins later, as most do to fill a buffer, has more
 * left than this says, so this counts no fewer underruns than are heard.
 */
export class Playhead {
	/** When all that was given has been played, s on the clock; NaN before anything was. */
	#dryAt = Number.NaN;
	#seconds = 0;
	#underruns = 0;
	#drySeconds = 0;

	/** Sound given, s. */
	get seconds(): number {
		return this.#seconds;
	}

	/** How often there was nothing left to play before the end. */
	get underruns(): number {
		return this.#underruns;
	}

	/** How long that was, s. */
	get drySeconds(): number {
		return this.#drySeconds;
	}

	/**
	 * More samples are there to be given.
	 * @param seconds of sound
	 * @param now s on a monotonic clock
	 */
	gave(seconds: number, now: number): void {
		const late = now - this.#dryAt;
		if (late > 0) {
			this.#underruns++;
			this.#drySeconds += late;
		}
		this.#dryAt = (late <= 0 ? this.#dryAt : now) + seconds;
		this.#seconds += seconds;
	}

	/** Sound that is not played yet, s. */
	left(now: number): number {
		return Math.max(0, this.#dryAt - now) || 0;
	}
}
