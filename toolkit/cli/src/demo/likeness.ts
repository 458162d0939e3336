import type { VoiceRun } from "@wattvox/cloud-trainer";
import type { Spoken } from "./ask.ts";

/** How much what was spoken sounds like the recording, by the base's speaker encoder. */
export interface Likeness {
	/** Cosine of each sentence to the recording's mean embedding; averaged. */
	toTarget: number;
	/** Sentences closer to the recording than to every voice of the base. */
	closest: number;
	of: number;
	/** The base voice that came nearest to any of them; null when the base names none. */
	rival: string | null;
}

/** Embeds what was spoken and compares it with the target and with the base's own voices. */
export async function likeness(
	run: VoiceRun,
	spoken: readonly Spoken[],
): Promise<Likeness> {
	const [{ cosine, embed, mean, speakerEngine }, { logMel }] =
		await Promise.all([
			import("@wattvox/cloud-trainer"),
			import("@wattvox/speech"),
		]);
	const { audio, voices } = run.base;
	const encoder = await speakerEngine(run.base, run.baseDir);
	try {
		const toTarget: number[] = [];
		let closest = 0;
		let nearest = { name: null as string | null, likeness: -1 };
		for (const { samples } of spoken) {
			const e = await embed(encoder, logMel(samples, audio), audio.nMels);
			const target = cosine(e, run.speaker);
			toTarget.push(target);
			const rivals = Object.entries(voices).map(([name, v]) => ({
				name,
				likeness: cosine(e, v),
			}));
			if (rivals.every((r) => r.likeness < target)) closest++;
			for (const rival of rivals)
				if (rival.likeness > nearest.likeness) nearest = rival;
		}
		return {
			toTarget: mean(toTarget),
			closest,
			of: spoken.length,
			rival: nearest.name,
		};
	} finally {
		await encoder.dispose();
	}
}
