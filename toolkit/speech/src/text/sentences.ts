import { NEVER_FINAL, SELDOM_FINAL } from "./abbreviations.ts";

/** Longer sentences are parted at a comma or, failing that, a space, so that the first sound never waits. */
const LONGEST = 320;

/** A next word that makes "etc.", "U.S." or "Inc." the end of a sentence. */
const STARTERS = new Set(
	(
		"the a an he she it they we you i this that these those there here but and so or yet in on at by for from " +
		"with as if when while after before since then now however his her its their our my your what who why how " +
		"where which no not all some many most one two it's he's she's they're we're i'm that's there's let's"
	).split(" "),
);

/** Does the full stop after `before` end a sentence when `after` follows? */
function isEnd(before: string, after: string): boolean {
	const next =
		after.match(/^[\s"'”’)\]]*(["'“‘(]*)([\p{L}\p{N}']*)/u)?.[2] ?? "";
	if (next === "") return true;
	if (/^\p{Ll}/u.test(next)) return false;
	const word = before.match(/[\p{L}\p{N}.']*$/u)?.[0] ?? "";
	const lower = word.toLowerCase();
	if (NEVER_FINAL.has(lower)) return false;
	const starter = STARTERS.has(next.toLowerCase());
	if (SELDOM_FINAL.has(lower)) return starter && !/^\d/.test(next);
	if (/^(?:\p{L}\.)+\p{L}$/u.test(word)) return starter;
	if (/^\p{Lu}$/u.test(word)) {
		// "J. Smith" goes on; "plan B. Then" ends.
		const previous =
			before.slice(0, -word.length).match(/([\p{L}']+)[\s.]*$/u)?.[1] ?? "";
		return starter && /^\p{Ll}/u.test(previous);
	}
	return true;
}

/** Lines that all begin like sentences are sentences: a list, a poem, a transcript without full stops. */
function joinLines(text: string): string[] {
	const paragraphs = text.split(/\n[^\S\n]*\n\s*/);
	return paragraphs.flatMap((p) => {
		const lines = p.split(/\s*\n\s*/).filter((l) => l.trim() !== "");
		const listed =
			lines.length > 1 &&
			lines.every((l) => /^\s*(?:[-*•] |\d+[.)] |["'“]?[\p{Lu}\d])/u.test(l));
		return listed ? lines : [lines.join(" ")];
	});
}

function* cut(text: string): Generator<string> {
	let start = 0;
	for (const mark of text.matchAll(
		/([.!?…]+|[。！？])(["'”’)\]]*)(?=\s|$|(?<=[。！？]))/gu,
	)) {
		const end = mark.index + mark[0].length;
		const before = text.slice(start, mark.index);
		const after = text.slice(end);
		const stop = /^[.…]/.test(mark[0])
			? isEnd(before, after)
			: !/^\s*\p{Ll}/u.test(after);
		if (!stop) continue;
		yield text.slice(start, end);
		start = end;
	}
	yield text.slice(start);
}

function* shorten(sentence: string): Generator<string> {
	let rest = sentence;
	while (rest.length > LONGEST) {
		const window = rest.slice(0, LONGEST);
		const comma = Math.max(
			...[", ", "; ", ": ", " - ", "— "].map(
				(m) => window.lastIndexOf(m) + m.length,
			),
		);
		const space = window.lastIndexOf(" ") + 1;
		const at = comma > LONGEST / 3 ? comma : space > 1 ? space : LONGEST;
		yield rest.slice(0, at).trim();
		rest = rest.slice(at);
	}
	yield rest.trim();
}

/**
 * Sentences of a text, in order, trimmed; each has something to say, so bare punctuation goes with its
 * neighbour. Decimal points, abbreviations and initials do not end one; very long ones are parted.
 */
export function splitSentences(text: string): string[] {
	const sentences: string[] = [];
	for (const paragraph of joinLines(text.replaceAll("\r\n", "\n")))
		for (const sentence of cut(paragraph)) {
			const trimmed = sentence.trim();
			if (trimmed === "") continue;
			if (!/[\p{L}\p{N}]/u.test(trimmed)) {
				const last = sentences.pop();
				sentences.push(last === undefined ? trimmed : `${last} ${trimmed}`);
			} else if (
				sentences.length === 1 &&
				!/[\p{L}\p{N}]/u.test(sentences[0] as string)
			)
				sentences[0] = `${sentences[0]} ${trimmed}`;
			else sentences.push(trimmed);
		}
	return sentences.flatMap((s) => [...shorten(s)]);
}
