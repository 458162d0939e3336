import type { Sentence } from "./sentences.ts";

function diphones(phones: readonly string[]): string[] {
	return phones.map((p, i) => `${phones[i - 1] ?? "pau"} ${p}`);
}

/**
 * Chooses `count` sentences so that phone pairs are covered evenly: greedy, each step the
 * sentence with the largest sum of 1/(1 + times its pair was heard), per length to the power 0.9.
 * Gains only fall as counts rise, so a stale gain is an upper bound and is looked at again only
 * when it comes first (lazy greedy, Minoux 1978). Ties go to the earlier sentence.
 */
export function choose(
	sentences: readonly Sentence[],
	count: number,
): Sentence[] {
	const heard = new Map<string, number>();
	const pairs = sentences.map((s) => diphones(s.phones));
	const gain = (i: number): number => {
		const own = pairs[i] ?? [];
		let sum = 0;
		for (const pair of own) sum += 1 / (1 + (heard.get(pair) ?? 0));
		return sum / own.length ** 0.9;
	};
	const heap = new Heap();
	for (let i = 0; i < sentences.length; i++) heap.push(i, gain(i));
	const chosen: Sentence[] = [];
	while (chosen.length < count) {
		const top = heap.pop();
		if (top === undefined) break;
		const now = gain(top.item);
		if (now < heap.best() - 1e-12) {
			heap.push(top.item, now);
			continue;
		}
		chosen.push(sentences[top.item] as Sentence);
		for (const pair of pairs[top.item] ?? []) {
			heard.set(pair, (heard.get(pair) ?? 0) + 1);
		}
	}
	return chosen;
}

/** A binary heap, the largest score first, the lower item first among equals. */
class Heap {
	private readonly entries: { item: number; score: number }[] = [];

	best(): number {
		return this.entries[0]?.score ?? Number.NEGATIVE_INFINITY;
	}

	push(item: number, score: number): void {
		const { entries } = this;
		entries.push({ item, score });
		let i = entries.length - 1;
		while (i > 0) {
			const up = (i - 1) >> 1;
			if (!this.before(i, up)) break;
			this.swap(i, up);
			i = up;
		}
	}

	pop(): { item: number; score: number } | undefined {
		const { entries } = this;
		const top = entries[0];
		const last = entries.pop();
		if (!top || !last || entries.length === 0) return top;
		entries[0] = last;
		for (let i = 0; ; ) {
			let next = i;
			for (const child of [2 * i + 1, 2 * i + 2]) {
				if (child < entries.length && this.before(child, next)) next = child;
			}
			if (next === i) return top;
			this.swap(i, next);
			i = next;
		}
	}

	private before(i: number, j: number): boolean {
		const a = this.entries[i];
		const b = this.entries[j];
		if (!a || !b) return false;
		return a.score > b.score || (a.score === b.score && a.item < b.item);
	}

	private swap(i: number, j: number): void {
		const { entries } = this;
		const a = entries[i];
		const b = entries[j];
		if (!a || !b) return;
		entries[i] = b;
		entries[j] = a;
	}
}
