import { WattvoxError } from "@wattvox/core";
import canonicalize from "canonicalize";

// its types say "default export" of a module that Node gives us whole
const serialize = canonicalize as unknown as (
	value: unknown,
) => string | undefined;

/**
 * `value` as canonical JSON (RFC 8785), UTF-8: equal values give equal bytes, so bytes can be signed.
 * @throws WattvoxError E_BUG when the value cannot be written as JSON
 */
export function canonicalBytes(value: unknown): Buffer {
	const text = serialize(value);
	if (text === undefined)
		throw new WattvoxError("E_BUG", "this value has no JSON form");
	return Buffer.from(text, "utf8");
}

/**
 * Parses bytes that must be canonical JSON. Anything else is refused, so that no two byte strings
 * mean the same thing (duplicate keys, other spacing, other number forms).
 * @throws WattvoxError E_FILE_FORMAT
 */
export function parseCanonical(bytes: Uint8Array, what: string): unknown {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	let value: unknown;
	try {
		value = JSON.parse(buffer.toString("utf8"));
	} catch (cause) {
		throw new WattvoxError("E_FILE_FORMAT", `${what} is not JSON`, { cause });
	}
	if (!canonicalBytes(value).equals(buffer))
		throw new WattvoxError("E_FILE_FORMAT", `${what} is not canonical JSON`);
	return value;
}
