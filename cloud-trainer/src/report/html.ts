/** A piece of HTML that is safe to put into a page as it is. */
export class Html {
	readonly text: string;
	constructor(text: string) {
		this.text = text;
	}
	toString(): string {
		return this.text;
	}
}

type Part = string | number | Html | readonly Part[];

/** HTML from a template: strings put in are escaped, {@link Html} and lists of it are not. */
export function html(
	strings: TemplateStringsArray,
	...parts: readonly Part[]
): Html {
	return new Html(
		strings.reduce((out, text, i) => out + show(parts[i - 1] ?? "") + text),
	);
}

function show(part: Part): string {
	if (part instanceof Html) return part.text;
	if (typeof part === "object") return part.map(show).join("");
	return escapeHtml(String(part));
}

const ENTITIES: Record<string, string> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
	"'": "&#39;",
};

/** `text` as HTML text or attribute value. Control characters that HTML does not allow are shown as U+FFFD. */
export function escapeHtml(text: string): string {
	return (
		text
			.replace(/[&<>"']/g, (c) => ENTITIES[c] ?? c)
			// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
			.replace(/[\0-\x08\x0b\x0e-\x1f\x7f]/g, "\ufffd")
	);
}

/** A data URI of `bytes`. */
export function dataUri(type: string, bytes: Uint8Array): string {
	return `data:${type};base64,${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")}`;
}
