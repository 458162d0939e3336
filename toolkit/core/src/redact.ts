const SECRET_KEY =
	/pass(word|phrase)?$|secret|token|authorization|cookie|credential|private_?key|api_?key|access_?key|^pem$|^pwd$/i;
const PEM = /-----BEGIN ([A-Z ]*PRIVATE KEY)-----[\s\S]*?(-----END \1-----|$)/g;
const URL_USER = /\b([a-z][a-z0-9+.-]*:\/\/)([^\s/@]+)@/gi;
const BEARER = /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]+/gi;
const QUERY =
	/([?&](?:[a-z0-9_-]*(?:token|secret|password|signature|credential|key))=)[^&\s#]+/gi;

/** What stands in a secret's place. */
export const REDACTED = "[redacted]";

/** `text` without the secrets it carries: credentials in URLs, bearer tokens, private keys in PEM. */
export function redactText(text: string): string {
	return text
		.replace(PEM, REDACTED)
		.replace(URL_USER, `$1${REDACTED}@`)
		.replace(BEARER, `$1 ${REDACTED}`)
		.replace(QUERY, `$1${REDACTED}`);
}

/**
 * A copy of `value` fit for a log: secrets by key name and by shape replaced, bytes shown as their
 * length, errors as plain objects, cycles and great depth cut.
 */
export function redact(value: unknown): unknown {
	return walk(value, 0, new Set());
}

const DEPTH = 8;

function walk(value: unknown, depth: number, above: Set<object>): unknown {
	if (typeof value === "string") return redactText(value);
	if (typeof value === "bigint") return value.toString();
	if (typeof value !== "object" || value === null) return value;
	if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
	if (value instanceof Date || value instanceof URL)
		return redactText(JSON.stringify(value) ?? "").replaceAll('"', "");
	if (above.has(value) || depth > DEPTH) return "[cut]";
	const inside = new Set(above).add(value);
	if (Array.isArray(value))
		return value.map((item) => walk(item, depth + 1, inside));
	const entries: [string, unknown][] = Object.entries(value);
	if (value instanceof Error)
		entries.unshift(
			["type", value.name],
			["message", value.message],
			["stack", value.stack],
			["cause", value.cause],
		);
	const out: Record<string, unknown> = {};
	for (const [key, item] of entries) {
		if (item === undefined) continue;
		out[key] = SECRET_KEY.test(key) ? REDACTED : walk(item, depth + 1, inside);
	}
	return out;
}
