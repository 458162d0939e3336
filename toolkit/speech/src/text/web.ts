import { spellCardinal, spellDigits } from "./numbers.ts";

/** Endings by which a name with dots is an address or a file rather than a typing slip. */
const ENDINGS =
	"com|org|net|edu|gov|io|ai|dev|app|info|biz|tv|me|co|uk|de|fr|eu|us|ca|au|nz|jp|cn|in|nl|ch|at|it|es|se|no|dk|fi|pl|be|ie|ru|br|" +
	"html?|pdf|txt|md|js|ts|mjs|json|onnx|wav|mp3|mp4|png|jpe?g|gif|svg|csv|zip|py|exe|docx?|xlsx?|ya?ml|toml|sh|log";

const url = /\b(?:https?|ftp|mqtts?|wss?):\/\/(?:www\.)?([^\s<>"]*[\w/])/gi;
const email = /\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b/g;
const domain = new RegExp(
	`(?<![\\w@/])(?:[\\w-]+\\.)+(?:${ENDINGS})\\b(?:[/:][\\w./?=&#%~:+-]*[\\w/])?(?![\\w@])`,
	"gi",
);
const ip = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)(?::\d+)?/g;
const version =
	/(?<![\w.])(?!\d{1,2}\.\d{1,2}\.\d{4}(?!\d))(v?)(\d+(?:\.\d+){2,})(?![\w]|\.\d)/gi;

const MARKS: Record<string, string> = {
	".": "dot",
	"/": "slash",
	"@": "at",
	":": "colon",
	"-": "dash",
	_: "underscore",
	"?": "question mark",
	"=": "equals",
	"&": "and",
	"#": "hash",
	"+": "plus",
	"%": "percent",
	"~": "tilde",
};

/** Last parts that are said as letters: "co dot U K". */
const SPELLED = new Set(
	"io ai tv uk de fr eu us ca au nz jp cn nl ch at es se dk fi pl be ie ru br html htm pdf txt md js ts mjs mp3 mp4 svg csv py exe xls xlsx sh".split(
		" ",
	),
);

function speakAddress(address: string): string {
	const parts =
		address.replace(/\/$/, "").match(/[A-Za-z]+|\d+|[^A-Za-z\d]/g) ?? [];
	return parts
		.map((part, i) => {
			if (MARKS[part]) return MARKS[part];
			if (/^\d/.test(part))
				return part.length <= 3 && part[0] !== "0"
					? spellCardinal(part)
					: spellDigits(part);
			if (part.toLowerCase() === "www") return "W W W";
			if (i > 0 && parts[i - 1] === "." && SPELLED.has(part.toLowerCase()))
				return [...part.toUpperCase()].join(" ");
			return part;
		})
		.join(" ")
		.replace(/colon slash slash/g, "");
}

/** Web and mail addresses, file names, IP addresses and version numbers, sign by sign. */
export function expandAddresses(text: string): string {
	return text
		.replace(url, (_, rest: string) => speakAddress(rest))
		.replace(email, speakAddress)
		.replace(ip, speakAddress)
		.replace(domain, speakAddress)
		.replace(
			version,
			(_, v: string, digits: string) =>
				(v ? "version " : "") +
				digits.split(".").map(spellCardinal).join(" point "),
		);
}

const phones = [
	// card numbers, postcodes with an extension, and codes in groups that are no dates
	/(?<![\w.,-])\d{4}(?: \d{4}){3}(?![\w-])/g,
	/(?<![\w.,-])\d{5}-\d{4}(?![\w-])/g,
	/(?<![\w.,-])\d{3}-\d{7}(?![\w-])/g,
	/(?<![\w.,-])(?!\d{4}-\d\d-\d\d(?![\d-])|\d{1,2}-\d{1,2}-\d{4}(?![\d-]))\d{1,5}(?:-\d{1,7}){2,}(?![\w-])/g,
	/(?<![\w.-])\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}(?![\w-])/g,
	/(?<![\w.-])(?:1[ .-])?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-])/g,
	/(?<![\w.,-])\d{3}-\d{4}(?![\w-])/g,
	/(?<![\w.,-])\(?0\d{2,4}\)?(?:[ -]\d{2,5}){1,4}(?![\w-])/g,
];

/** Telephone numbers digit by digit, a pause between groups. */
export function expandPhones(text: string): string {
	let out = text;
	for (const pattern of phones)
		out = out.replace(pattern, (whole) => {
			const groups = whole.match(/\d+/g) ?? [];
			if (groups.join("").length < 7) return whole;
			return (
				(whole.startsWith("+") ? "plus " : "") +
				groups.map(spellDigits).join(", ")
			);
		});
	return out.replace(
		/\b([Cc]all|[Dd]ial|[Rr]ing|[Pp]hone) (911|999|112|000|111)\b/g,
		(_, verb: string, n: string) => `${verb} ${spellDigits(n)}`,
	);
}
