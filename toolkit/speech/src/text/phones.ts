/**
 * The English phone set: flite's, ARPAbet in lower case without stress, with `ax` for schwa and `pau` for
 * a pause. A base lists its symbols in its own order; this list is only the set.
 */
export const PHONES = [
	..."pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m".split(
		" ",
	),
	..."n ng ow oy p r s sh t th uh uw v w y z zh".split(" "),
] as readonly string[];

/** A pause: at both ends of every sentence and at its commas, semicolons, colons and dashes. */
export const PAUSE = "pau";

const VOWELS = new Set(
	"aa ae ah ao aw ax ay eh er ey ih iy ow oy uh uw".split(" "),
);
const VOICELESS = new Set("p t k f th s sh ch hh".split(" "));
const SIBILANT = new Set("s z sh zh ch jh".split(" "));

export function isVowel(phone: string): boolean {
	return VOWELS.has(phone);
}

/** Consonants that make a following plural or past ending voiceless. */
export function isVoiceless(phone: string): boolean {
	return VOICELESS.has(phone);
}

/** Consonants after which a plural is a syllable of its own. */
export function isSibilant(phone: string): boolean {
	return SIBILANT.has(phone);
}

/** One phone of CMUdict, such as `AH0`, in this set: stress dropped, `AH0` becomes `ax`. */
export function fromArpabet(phone: string): string {
	return phone === "AH0" ? "ax" : phone.replace(/\d$/, "").toLowerCase();
}
