import { WattvoxError } from "@wattvox/core";

/** The English phones: ARPAbet in lower case without stress, plus `pau` and `ax`, as flite names them. */
export const PHONES: readonly string[] =
	"pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w y z zh".split(
		" ",
	);

const KNOWN: ReadonlySet<string> = new Set(PHONES);

/** A phone and the sample at which it ends (the first sample that is not its own). */
export type TimedPhone = [phone: string, end: number];

/** @throws WattvoxError E_BUG when a synthesiser's phone is not in the set */
export function checkPhone(phone: string): string {
	if (!KNOWN.has(phone)) {
		throw new WattvoxError("E_BUG", `no such phone: ${phone}`);
	}
	return phone;
}

/** CMUdict's symbols ("AH0 B AW1 T") as phones: AH0 is the schwa `ax`, other stress marks go. */
export function fromCmu(symbols: string): string[] {
	return symbols
		.split(" ")
		.map((s) => (s === "AH0" ? "ax" : s.replace(/\d/, "").toLowerCase()));
}

/**
 * Seconds to samples, scaled: every end is `seconds * scale * rate`, rounded; ends never go back,
 * none passes `samples`, the last is `samples`, and phones left without a sample are dropped.
 * Neighbouring pauses become one.
 */
export function toSamples(
	ends: readonly (readonly [phone: string, seconds: number])[],
	scale: number,
	rate: number,
	samples: number,
): TimedPhone[] {
	const out: TimedPhone[] = [];
	let from = 0;
	for (const [i, [phone, seconds]] of ends.entries()) {
		const last = i === ends.length - 1;
		const end = last
			? samples
			: Math.min(samples, Math.round(seconds * scale * rate));
		if (end <= from) continue;
		const previous = out.at(-1);
		if (previous && previous[0] === "pau" && phone === "pau") previous[1] = end;
		else out.push([checkPhone(phone), end]);
		from = end;
	}
	return out;
}
