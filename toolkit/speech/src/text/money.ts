import { spellCardinal, spellNumber } from "./numbers.ts";

interface Currency {
	one: string;
	many: string;
	/** The hundredth part, singular and plural. */
	part?: readonly [string, string];
}

const CENT = ["cent", "cents"] as const;
const DOLLAR: Currency = { one: "dollar", many: "dollars", part: CENT };
const POUND: Currency = {
	one: "pound",
	many: "pounds",
	part: ["penny", "pence"],
};
const EURO: Currency = { one: "euro", many: "euros", part: CENT };
const YEN: Currency = { one: "yen", many: "yen" };
const YUAN: Currency = { one: "yuan", many: "yuan" };

const CURRENCIES: Record<string, Currency> = {
	$: DOLLAR,
	"£": POUND,
	"€": EURO,
	"¥": YEN,
	"₹": { one: "rupee", many: "rupees", part: ["paisa", "paise"] },
	"₩": { one: "won", many: "won" },
	"₽": { one: "rouble", many: "roubles" },
	"₿": { one: "bitcoin", many: "bitcoins" },
	BRL: {
		one: "Brazilian real",
		many: "Brazilian reais",
		part: ["centavo", "centavos"],
	},
	USD: { ...DOLLAR, one: "US dollar", many: "US dollars" },
	GBP: POUND,
	EUR: EURO,
	JPY: YEN,
	CNY: YUAN,
	RMB: YUAN,
	CHF: { one: "Swiss franc", many: "Swiss francs" },
	INR: { one: "rupee", many: "rupees" },
	CAD: { one: "Canadian dollar", many: "Canadian dollars", part: CENT },
	AUD: { one: "Australian dollar", many: "Australian dollars", part: CENT },
};
const COUNTRIES: Record<string, string> = {
	US: "US ",
	CA: "Canadian ",
	C: "Canadian ",
	AU: "Australian ",
	A: "Australian ",
	NZ: "New Zealand ",
	HK: "Hong Kong ",
};
const SCALES: Record<string, string> = {
	k: "thousand",
	m: "million",
	mn: "million",
	b: "billion",
	bn: "billion",
	t: "trillion",
	tn: "trillion",
};

const NUMBER = "(\\d[\\d,]*(?:\\.\\d+)?|\\.\\d+)";
const SCALE =
	"(?:\\s?(k|mn?|bn?|tn?|K|M|B|T)\\b|[ -](hundred|thousand|million|billion|trillion)\\b)?";
const before = new RegExp(
	`(?:(?<![A-Za-z])(US|CA?|AU?|NZ|HK))?([$£€¥₹₩₽₿])\\s?${NUMBER}${SCALE}(?:(?:-|–| to )[$£€¥₹₩₽₿]?${NUMBER}${SCALE})?`,
	"g",
);
const codeBefore = new RegExp(
	`\\b(USD|GBP|EUR|JPY|CNY|RMB|CHF|INR|CAD|AUD|BRL)\\s?${NUMBER}${SCALE}`,
	"g",
);
const after = new RegExp(
	`(?<![\\w.])${NUMBER}${SCALE}\\s?([$£€¥₹₩₽₿]|(?:USD|GBP|EUR|JPY|CNY|RMB|CHF|INR|CAD|AUD|BRL)\\b)(?!\\d)`,
	"g",
);

function amount(
	number: string,
	scale: string | undefined,
	c: Currency,
): string {
	// A full stop or comma that ends the clause is not part of the number.
	const tail = number.match(/,+$/)?.[0] ?? "";
	const digits = number.slice(0, number.length - tail.length);
	const [whole = "", fraction] = digits.split(".");
	if (scale) {
		const word = SCALES[scale.toLowerCase()] ?? scale;
		return `${spellNumber(digits)} ${word} ${c.many}${tail}`;
	}
	if (!c.part || fraction?.length !== 2) {
		return `${spellNumber(digits)} ${digits === "1" ? c.one : c.many}${tail}`;
	}
	const main = `${spellNumber(whole)} ${Number(whole) === 1 ? c.one : c.many}`;
	const part = `${spellCardinal(fraction)} ${c.part[Number(fraction) === 1 ? 0 : 1]}`;
	if (Number(fraction) === 0) return main + tail;
	return (
		(Number(whole.replaceAll(",", "")) === 0 ? part : `${main} and ${part}`) +
		tail
	);
}

/** "$5.50" -> "five dollars and fifty cents", "£3bn", "20 €", "EUR 20", "US$5k", "$5-10", "50¢", "50p". */
export function expandMoney(text: string): string {
	return text
		.replace(/(^|[\s(])[-–]\s?(?=[A-Z]{0,2}[$£€¥₹₩₽₿]\s?[\d.])/g, "$1minus ")
		.replace(/([$£€¥₹₩₽₿])\s?-\s?(?=[\d.])/g, "minus $1")
		.replace(/(?<![A-Za-z])R\$\s?(?=[\d.])/g, "BRL ")
		.replace(
			before,
			(
				_,
				country: string | undefined,
				sign: string,
				from: string,
				short1?: string,
				long1?: string,
				to?: string,
				short2?: string,
				long2?: string,
			) => {
				const plain = CURRENCIES[sign] as Currency;
				const prefix = country ? COUNTRIES[country] : "";
				const c = {
					...plain,
					one: prefix + plain.one,
					many: prefix + plain.many,
				};
				const scale = short1 ?? long1;
				if (to === undefined) return amount(from, scale, c);
				const low = scale
					? `${spellNumber(from)} ${SCALES[scale.toLowerCase()] ?? scale}`
					: spellNumber(from);
				return `${low} to ${amount(to, short2 ?? long2, c)}`;
			},
		)
		.replace(
			codeBefore,
			(_, code: string, number: string, short?: string, long?: string) =>
				amount(number, short ?? long, CURRENCIES[code] as Currency),
		)
		.replace(
			after,
			(
				_,
				number: string,
				short: string | undefined,
				long: string | undefined,
				sign: string,
			) => amount(number, short ?? long, CURRENCIES[sign] as Currency),
		)
		.replace(
			/(?<![\w.])(\d+)\s?¢/g,
			(_, n: string) => `${spellCardinal(n)} ${n === "1" ? "cent" : "cents"}`,
		)
		.replace(
			/(?<![\w.])(\d+)p\b/g,
			(_, n: string) => `${spellCardinal(n)} ${n === "1" ? "penny" : "pence"}`,
		);
}
