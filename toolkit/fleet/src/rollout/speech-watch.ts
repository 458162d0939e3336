import type { PowerMessage } from "@wattvox/link";

interface Counts {
	mj: number;
	audio: number;
}

interface Boot {
	voice: string | null;
	sequence: number;
	first: Counts;
	last: Counts;
}

/**
 * What devices with a sensor drew while speaking since a moment, from their cumulative reports:
 * what a boot had drawn before its first report after that moment does not count. Estimates are not
 * looked at.
 */
export class SpeechWatch {
	readonly #devices = new Map<string, Map<string, Boot>>();
	#since: number | null = null;

	/** Begins anew when the moment is another. */
	since(moment: number | null): void {
		if (moment === this.#since) return;
		this.#since = moment;
		for (const boots of this.#devices.values())
			for (const boot of boots.values()) boot.first = boot.last;
	}

	heard(report: PowerMessage): void {
		const { device, boot, sensor, sequence, measured, voice } = report;
		const { speechMillijoules: mj, audioSeconds: audio } = report;
		if (!measured || typeof mj !== "number") return;
		const boots = this.#devices.get(device) ?? new Map<string, Boot>();
		this.#devices.set(device, boots);
		const key = `${boot}/${sensor}/${voice}`;
		const known = boots.get(key);
		const counts = { mj, audio };
		if (!known)
			boots.set(key, { voice, sequence, first: counts, last: counts });
		else if (sequence > known.sequence) {
			known.sequence = sequence;
			known.last = counts;
		}
	}

	/** What it drew speaking with this voice. Undefined: nothing measured since then. */
	of(
		device: string,
		voice: string | null,
	): { joules: number; audioSeconds: number } | undefined {
		let [joules, audioSeconds] = [0, 0];
		for (const boot of this.#devices.get(device)?.values() ?? []) {
			if (boot.voice !== voice) continue;
			const { first, last } = boot;
			joules += (last.mj - first.mj) / 1000;
			audioSeconds += last.audio - first.audio;
		}
		return audioSeconds > 0 ? { joules, audioSeconds } : undefined;
	}
}
