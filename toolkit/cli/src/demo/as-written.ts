/**
 * The part of a text that holds these words, with its punctuation: a segment knows its words alone, and
 * without the commas it would be read without its pauses.
 * @param words as written, apart from what stands between them
 * @returns the words themselves where the text does not hold them in this order
 */
export function asWritten(text: string, words: string): string {
	const pattern = words
		.split(/[^\p{L}\p{N}]+/u)
		.filter(Boolean)
		.join("[^\\p{L}\\p{N}]+");
	if (!pattern) return words;
	const found = new RegExp(
		`(?<![\\p{L}\\p{N}])${pattern}(?![\\p{L}\\p{N}])[.,;:!?]?`,
		"iu",
	).exec(text);
	return found ? found[0].replace(/\s+/g, " ") : words;
}
