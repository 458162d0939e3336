import {
	type Cepstra,
	centroid,
	cosine,
	type Estimate,
	framePool,
	mcdDtw,
	mcdNearest,
	mcdToPool,
	mean,
	shareEstimate,
} from "@wattvox/cloud-trainer";
import { seededRandom } from "@wattvox/models";
import type { Utterance } from "./utterance.ts";

/** A voice that the synthesis must not be mistaken for. */
export interface Rival {
	name: string;
	/** May be empty where `centre` is all that is known. */
	clips: readonly Utterance[];
	/** Its mean embedding, as a base ships it; else that of the clips. */
	centre?: Float32Array;
}

/** A distance between what is judged and the target, beside that of the target to itself. */
export interface SelfRatio {
	/** Target's one half to its other. */
	own: number;
	/** Synthesis of one half's texts to the recordings of the other half. */
	synth: number;
	ratio: number;
}

/** Frames of a pool: about 20 s of speech. */
const POOL = 1600;
/** Frames of a sentence and of each voice that are compared where the words differ. */
const SENTENCE = 100;
const VOICE = 800;
const COSINE_SPLITS = 50;
const MCD_SPLITS = 4;

/** Embeddings of clips that have one. */
export function embeddings(clips: readonly Utterance[]): Float32Array[] {
	return clips.flatMap((c) => (c.embedding ? [c.embedding] : []));
}

/**
 * Cosine of each synthesised sentence to the target's voice: the centroid of
 * its recordings, the one of the same sentence left out so that shared words do
 * not help. NaN where there is no embedding.
 */
export function cosineToTarget(
	synth: readonly Utterance[],
	target: readonly Utterance[],
): number[] {
	return synth.map((s) => {
		const others = embeddings(target.filter((t) => t.key !== s.key));
		return s.embedding && others.length > 0
			? cosine(s.embedding, centroid(others))
			: Number.NaN;
	});
}

/** Share of sentences whose cosine to the target is above that to every rival's centroid. */
export function closerByCosine(
	synth: readonly Utterance[],
	target: readonly Utterance[],
	rivals: readonly Rival[],
): Estimate & { confusedWith: Record<string, number> } {
	const centres = rivals.flatMap((r) => {
		const e = embeddings(r.clips);
		const centre = r.centre ?? (e.length > 0 ? centroid(e) : undefined);
		return centre ? [{ name: r.name, centre }] : [];
	});
	const own = cosineToTarget(synth, target);
	return closer(
		synth.flatMap((s, i) => {
			const e = s.embedding;
			if (!e) return [];
			return [
				{
					own: -(own[i] ?? Number.NaN),
					others: centres.map((c) => ({
						name: c.name,
						d: -cosine(e, c.centre),
					})),
				},
			];
		}),
	);
}

/**
 * Share of sentences whose mel-cepstral distance to the target is below that to
 * every rival. Where all rivals have recorded the sentence, recordings of the
 * same words are compared by time warping; otherwise frames by nearest
 * neighbours, in pools of one size and without the target's own such sentence.
 */
export function closerByMcd(
	synth: readonly Utterance[],
	target: readonly Utterance[],
	rivals: readonly Rival[],
): Estimate & { confusedWith: Record<string, number>; sameWords: boolean } {
	const recordings = rivals.map((r) => ({
		name: r.name,
		byText: new Map(r.clips.map((c) => [c.key, c.cepstra])),
		clips: r.clips,
	}));
	const sameWords = synth.every((s) =>
		recordings.every((r) => r.byText.has(s.key)),
	);
	const pool = (clips: readonly Utterance[], size: number) =>
		framePool(
			clips.map((c) => c.cepstra),
			size,
		);
	const size = Math.min(
		VOICE,
		...[target, ...rivals.map((r) => r.clips)].map((c) => frames(c)),
	);
	const pools = sameWords
		? []
		: recordings.map((r) => ({ name: r.name, pool: pool(r.clips, size) }));
	const rows = synth.map((s) => {
		const thinned = framePool([s.cepstra], SENTENCE);
		if (!sameWords)
			return {
				own: mcdToPool(
					thinned,
					pool(
						target.filter((t) => t.key !== s.key),
						size,
					),
				),
				others: pools.map((p) => ({
					name: p.name,
					d: mcdToPool(thinned, p.pool),
				})),
			};
		const to = (c: Cepstra | undefined) =>
			c ? mcdDtw(s.cepstra, c) : Number.NaN;
		return {
			own: to(target.find((t) => t.key === s.key)?.cepstra),
			others: recordings.map((r) => ({
				name: r.name,
				d: to(r.byText.get(s.key)),
			})),
		};
	});
	return { ...closer(rows), sameWords };
}

function frames(clips: readonly Utterance[]): number {
	return clips.reduce((n, c) => n + c.cepstra.frames, 0);
}

interface Row {
	own: number;
	others: { name: string; d: number }[];
}

function closer(rows: readonly Row[]) {
	const confusedWith: Record<string, number> = {};
	let hits = 0;
	for (const { own, others } of rows) {
		const nearest = others.reduce((a, b) => (b.d < a.d ? b : a), {
			name: "",
			d: Number.POSITIVE_INFINITY,
		});
		if (own < nearest.d) hits++;
		else confusedWith[nearest.name] = (confusedWith[nearest.name] ?? 0) + 1;
	}
	return { ...shareEstimate(hits, rows.length), confusedWith };
}

/**
 * Cosine distance (1 - cosine) of single sentences, averaged over all pairs of
 * different sentences: synthesis to recording, beside recording to recording.
 */
export function cosinePairs(
	synth: readonly Utterance[],
	target: readonly Utterance[],
): SelfRatio {
	const own: number[] = [];
	const cross: number[] = [];
	for (const t of target)
		for (const u of target)
			if (t.name < u.name && t.embedding && u.embedding)
				own.push(1 - cosine(t.embedding, u.embedding));
	for (const s of synth)
		for (const t of target)
			if (s.name !== t.name && s.embedding && t.embedding)
				cross.push(1 - cosine(s.embedding, t.embedding));
	return ratio(mean(own), mean(cross));
}

/**
 * Cosine distance of half averages, over random halves: the centroid of one
 * half's synthesis to that of the other half's recordings, beside recordings to
 * recordings. Much the stricter reading: averaging removes what differs from
 * sentence to sentence and leaves any constant difference whole.
 */
export function cosineHalves(
	synth: readonly Utterance[],
	target: readonly Utterance[],
): SelfRatio {
	return overHalves(synth, target, COSINE_SPLITS, (x, y) => {
		const a = embeddings(x);
		const b = embeddings(y);
		return a.length > 0 && b.length > 0
			? 1 - cosine(centroid(a), centroid(b))
			: Number.NaN;
	});
}

/** Mel-cepstral distance of halves by nearest frames: the halves say different words. */
export function mcdHalves(
	synth: readonly Utterance[],
	target: readonly Utterance[],
): SelfRatio {
	const size = Math.min(POOL, Math.floor(frames(target) / 2));
	const pool = (x: readonly Utterance[]) =>
		framePool(
			x.map((c) => c.cepstra),
			size,
		);
	return overHalves(synth, target, MCD_SPLITS, (x, y) =>
		mcdNearest(pool(x), pool(y)),
	);
}

function overHalves(
	synth: readonly Utterance[],
	target: readonly Utterance[],
	splits: number,
	distance: (a: readonly Utterance[], b: readonly Utterance[]) => number,
): SelfRatio {
	const random = seededRandom(1);
	const own: number[] = [];
	const cross: number[] = [];
	for (let r = 0; r < splits; r++) {
		const order = target
			.map((t) => ({ t, at: random() }))
			.sort((a, b) => a.at - b.at)
			.map(({ t }) => t);
		const a = order.slice(0, Math.floor(order.length / 2));
		const b = order.slice(Math.floor(order.length / 2));
		const said = (half: readonly Utterance[]) =>
			synth.filter((s) => half.some((h) => h.name === s.name));
		own.push(distance(a, b));
		cross.push((distance(said(a), b) + distance(said(b), a)) / 2);
	}
	return ratio(mean(own), mean(cross));
}

function ratio(own: number, synth: number): SelfRatio {
	return { own, synth, ratio: synth / own };
}
