import { WattvoxError } from "@wattvox/core";
import type { MelConfig } from "@wattvox/speech";
import type { Alignment } from "../align/aligner.ts";
import type { TokenizedTranscript } from "../align/transcript.ts";
import type { Example } from "../data/features.ts";

/** How a clip is cut. */
export interface CutOptions {
	/** A segment may end at a pause once it is this long, in seconds. */
	shortest: number;
	/** A segment ends at any word boundary once it is this long. */
	longest: number;
	/** The pause that a cut wants, in seconds. */
	pause: number;
	/** Share of the segments kept out of training to know when to stop; at least two. */
	heldOut: number;
}

export const CUT: CutOptions = {
	shortest: 2,
	longest: 7,
	pause: 0.1,
	heldOut: 0.12,
};

/** A segment with the words it holds. */
export interface Segment extends Example {
	split: "train" | "val";
	text: string;
	/** Seconds from the start of the clip. */
	from: number;
}

/**
 * Cuts an aligned recording at its pauses into segments that training takes, each with a pause at both
 * ends where one was heard.
 * @param mel log-mel [frames, nMels] of the whole recording
 * @param samples the whole recording at the model's rate
 */
export function cutAtPauses(
	mel: Float32Array,
	samples: Float32Array,
	audio: MelConfig,
	transcript: TokenizedTranscript,
	alignment: Alignment,
	o: CutOptions = CUT,
): Segment[] {
	const rate = audio.sampleRate / audio.hop;
	const groups: { first: number; last: number }[] = [];
	let first = 0;
	transcript.words.forEach((word, i) => {
		const begin = transcript.words[first];
		const rest = alignment.spans[word.last];
		const start = alignment.spans[begin?.first ?? 0]?.start ?? 0;
		const seconds = ((alignment.spans[word.last - 1]?.end ?? 0) - start) / rate;
		const pause = rest ? (rest.end - rest.start) / rate : 0;
		if (
			i === transcript.words.length - 1 ||
			(seconds >= o.shortest && pause >= o.pause) ||
			seconds >= o.longest
		) {
			groups.push({ first, last: i });
			first = i + 1;
		}
	});
	return groups.map((g, i) =>
		segment(mel, samples, audio, transcript, alignment, g, i),
	);
}

/**
 * Marks some segments `val`: spread over all of them, so that both halves are judged.
 * @throws WattvoxError E_CLIP_SHORT when there are fewer than four
 */
export function holdOut(segments: Segment[], share = CUT.heldOut): Segment[] {
	const { length } = segments;
	if (length < 4)
		throw new WattvoxError(
			"E_CLIP_SHORT",
			`the clip gives ${length} segment${length === 1 ? "" : "s"} of speech; at least four are needed`,
		);
	const held = Math.max(2, Math.round(length * share));
	for (let k = 0; k < held; k++) {
		const at = Math.floor(((k + 0.5) / held) * length);
		(segments[at] as Segment).split = "val";
	}
	return segments;
}

/**
 * {@link cutAtPauses}, with some segments held out.
 * @throws WattvoxError E_CLIP_SHORT when fewer than four segments come out
 */
export function cutSegments(
	...args: Parameters<typeof cutAtPauses>
): Segment[] {
	return holdOut(cutAtPauses(...args), args[5]?.heldOut);
}

function segment(
	mel: Float32Array,
	samples: Float32Array,
	audio: MelConfig,
	transcript: TokenizedTranscript,
	alignment: Alignment,
	group: { first: number; last: number },
	index: number,
): Segment {
	const words = transcript.words.slice(group.first, group.last + 1);
	// The pause tokens around the words are shared with the neighbours: each takes its half.
	const firstToken = (words[0]?.first ?? 1) - 1;
	const lastToken = words.at(-1)?.last ?? 0;
	const phones: number[] = [];
	const durations: number[] = [];
	const half = (t: number): number => {
		const span = alignment.spans[t];
		return span ? Math.floor((span.start + span.end) / 2) : 0;
	};
	const start =
		group.first === 0
			? (alignment.spans[firstToken]?.start ?? 0)
			: half(firstToken);
	const end =
		group.last === transcript.words.length - 1
			? (alignment.spans[lastToken]?.end ?? 0)
			: half(lastToken);
	for (let t = firstToken; t <= lastToken; t++) {
		const span = alignment.spans[t];
		if (!span) continue;
		const d = Math.min(span.end, end) - Math.max(span.start, start);
		if (d <= 0) continue;
		phones.push(transcript.tokens[t]?.symbol ?? 0);
		durations.push(d);
	}
	const frames = end - start;
	const pcm = new Int16Array(frames * audio.hop);
	for (let i = 0; i < pcm.length; i++)
		pcm[i] = Math.round(
			Math.max(-1, Math.min(1, samples[start * audio.hop + i] ?? 0)) * 32767,
		);
	return {
		id: `segment-${String(index).padStart(3, "0")}`,
		speaker: "target",
		split: "train",
		text: words.map((w) => w.text).join(" "),
		from: (start * audio.hop) / audio.sampleRate,
		phones: Int32Array.from(phones),
		durations: Int32Array.from(durations),
		frames,
		mel: mel.slice(start * audio.nMels, end * audio.nMels),
		wave: pcm,
	};
}
