import type { X509Certificate } from "node:crypto";
import { WattvoxError } from "@wattvox/core";

/** What Node's own X509Certificate does not tell of a certificate (RFC 5280, section 4). */
export interface CertificateDetails {
	/** Object identifier of the algorithm that signed it, dotted. */
	signedBy: string;
	extensions: { id: string; critical: boolean; value: Buffer }[];
	/** How many authorities may stand between this one and the leaf; undefined where it says nothing. */
	pathLength?: number;
	/** Bits of keyUsage, the first as bit 0; undefined where it says nothing. */
	usage?: number;
}

export const EXTENSION = {
	keyUsage: "2.5.29.15",
	subjectAltName: "2.5.29.17",
	basicConstraints: "2.5.29.19",
	nameConstraints: "2.5.29.30",
	policies: "2.5.29.32",
	extendedKeyUsage: "2.5.29.37",
} as const;

/** Tags of DER (X.690). */
const TAG = {
	boolean: 0x01,
	integer: 0x02,
	sequence: 0x30,
	extensions: 0xa3,
} as const;

/**
 * Reads the parts of a certificate that {@link CertificateDetails} has.
 * @throws WattvoxError E_FILE_FORMAT
 */
export function certificateDetails({
	raw,
}: X509Certificate): CertificateDetails {
	const [whole] = values(raw);
	const [signed, algorithm] = values(whole?.body ?? raw);
	const [algorithmId] = values(algorithm?.body ?? raw);
	if (!signed || !algorithmId) throw malformed();
	const listed = values(signed.body).find((v) => v.tag === TAG.extensions);
	const [list] = listed ? values(listed.body) : [];
	const extensions = (list ? values(list.body) : []).map((extension) => {
		const parts = values(extension.body);
		const [id, value] = [parts[0], parts.at(-1)];
		if (!id || !value || parts.length < 2) throw malformed();
		const flag = parts[1]?.tag === TAG.boolean ? parts[1].body[0] : 0;
		return { id: dotted(id.body), critical: flag !== 0, value: value.body };
	});
	const body = (id: string) => extensions.find((e) => e.id === id)?.value;
	const [basic] = values(body(EXTENSION.basicConstraints) ?? Buffer.alloc(0));
	const most = basic && values(basic.body).find((v) => v.tag === TAG.integer);
	const [bits] = values(body(EXTENSION.keyUsage) ?? Buffer.alloc(0));
	return {
		signedBy: dotted(algorithmId.body),
		extensions,
		...(most && { pathLength: number(most.body) }),
		// the first byte counts the bits of the last that mean nothing
		...(bits && { usage: reversed(bits.body[1] ?? 0) }),
	};
}

interface Value {
	tag: number;
	body: Buffer;
}

/** The values that stand one after the other in DER. */
function values(bytes: Buffer): Value[] {
	const found: Value[] = [];
	for (let at = 0; at < bytes.length; ) {
		const tag = bytes[at] as number;
		let length = bytes[at + 1] ?? Number.NaN;
		let begin = at + 2;
		if (length & 0x80) {
			const size = length & 0x7f;
			if (size === 0 || size > 4 || begin + size > bytes.length)
				throw malformed();
			length = bytes.readUIntBE(begin, size);
			begin += size;
		}
		const end = begin + length;
		if (!(end <= bytes.length)) throw malformed();
		found.push({ tag, body: bytes.subarray(begin, end) });
		at = end;
	}
	return found;
}

/** An object identifier as people write it. */
function dotted(body: Buffer): string {
	const numbers: number[] = [];
	let value = 0;
	for (const byte of body) {
		value = value * 128 + (byte & 0x7f);
		if (byte & 0x80) continue;
		numbers.push(value);
		value = 0;
	}
	const [first = 0, ...rest] = numbers;
	const top = Math.min(2, Math.floor(first / 40));
	return [top, first - 40 * top, ...rest].join(".");
}

const number = (body: Buffer): number =>
	body.length > 0 && body.length <= 4 ? body.readIntBE(0, body.length) : -1;

const reversed = (byte: number): number =>
	[0, 1, 2, 3, 4, 5, 6, 7].reduce(
		(bits, i) => bits | (((byte >> (7 - i)) & 1) << i),
		0,
	);

const malformed = () =>
	new WattvoxError("E_FILE_FORMAT", "a certificate is malformed");
