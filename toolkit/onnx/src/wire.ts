import { WattvoxError } from "@wattvox/core";

/** One field of a protobuf message, by its place in the bytes. */
export interface Field {
	no: number;
	/** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
	wire: number;
	/** Where its tag begins, and where it ends. */
	start: number;
	end: number;
	/** Where its value begins. */
	at: number;
	/** The value of a varint; else 0. */
	value: number;
}

/**
 * The fields of a protobuf message, in the order in which they stand; nothing is copied.
 * https://protobuf.dev/programming-guides/encoding/
 * @throws WattvoxError E_MODEL when the bytes are no message
 */
export function* fieldsOf(
	bytes: Uint8Array,
	from = 0,
	to = bytes.length,
): Generator<Field> {
	let at = from;
	const varint = (): number => {
		let value = 0;
		for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
			const byte = at < to ? (bytes[at++] as number) : 0xff;
			value += (byte & 0x7f) * scale;
			if (byte < 0x80) return value;
		}
		throw broken();
	};
	while (at < to) {
		const start = at;
		const tag = varint();
		const no = Math.floor(tag / 8);
		const wire = tag % 8;
		let begin = at;
		let value = 0;
		if (wire === 0) value = varint();
		else if (wire === 1) at += 8;
		else if (wire === 5) at += 4;
		else if (wire === 2) {
			const length = varint();
			begin = at;
			at += length;
		} else throw broken();
		if (at > to) throw broken();
		yield { no, wire, start, end: at, at: begin, value };
	}
}

/** A length-delimited field. */
export function lengthDelimited(
	no: number,
	...parts: readonly Uint8Array[]
): Uint8Array[] {
	const length = parts.reduce((sum, p) => sum + p.length, 0);
	return [
		Uint8Array.from([...varintOf(no * 8 + 2), ...varintOf(length)]),
		...parts,
	];
}

/** A varint field. */
export const varintField = (no: number, value: number): Uint8Array =>
	Uint8Array.from([...varintOf(no * 8), ...varintOf(value)]);

function varintOf(value: number): number[] {
	const out: number[] = [];
	let rest = value;
	for (; rest >= 128; rest = Math.floor(rest / 128))
		out.push((rest % 128) | 128);
	return [...out, rest];
}

const broken = () => new WattvoxError("E_MODEL", "not an ONNX model");
