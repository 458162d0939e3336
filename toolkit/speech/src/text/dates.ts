import {
	spellCardinal,
	spellDecade,
	spellOrdinal,
	spellYear,
} from "./numbers.ts";

const MONTHS =
	"January February March April May June July August September October November December".split(
		" ",
	);
const MONTH =
	"(Jan(?:uary|\\.)?|Feb(?:ruary|\\.)?|Mar(?:ch|\\.)?|Apr(?:il|\\.)?|May|June?\\.?|July?\\.?|" +
	"Aug(?:ust|\\.)?|Sept?(?:ember|\\.)?|Oct(?:ober|\\.)?|Nov(?:ember|\\.)?|Dec(?:ember|\\.)?)";
const DAY = "(3[01]|[12]\\d|0?[1-9])";
const TH = "(?:st|nd|rd|th)?";
const YEAR = "(1\\d{3}|20\\d{2})";

const dayFirst = new RegExp(
	`(\\bthe )?(?<![\\d.,:/-])\\b${DAY}${TH}(?: of)? ${MONTH}(?:,? ${YEAR})?(?![\\w:])`,
	"g",
);
const monthFirst = new RegExp(
	`\\b${MONTH} ${DAY}${TH}(?:\\s?[-–]\\s?${DAY}${TH})?(?![\\d:%]|[.,]\\d)(?:,? ${YEAR}(?!\\d))?`,
	"g",
);
const monthYear = new RegExp(`\\b${MONTH},? ${YEAR}(?!\\d)`, "g");
const iso =
	/(?<![\d/-])(\d{4})([-/])(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?![\d/-])/g;
const dayRange = new RegExp(
	`(?<![\\d.,:/-])\\b(?:the )?${DAY}${TH}\\s?[-–]\\s?${DAY}${TH}(?: of)? ${MONTH}(?:,? ${YEAR})?(?![\\w:])`,
	"g",
);
const numeric =
	/(?<![\d/.-])(\d{1,2})([/.-])(\d{1,2})\2(\d{4}|\d{2})(?![\d/-]|\.\d)/g;

function monthName(text: string): string {
	const start = text.slice(0, 3);
	return MONTHS.find((m) => m.startsWith(start)) as string;
}

function monthDay(month: string, day: string, year?: string): string {
	const date = `${month} ${spellOrdinal(day)}`;
	return year ? `${date}, ${spellYear(year)}` : date;
}

/**
 * Dates in words: "March 5, 2024", "5 March 2024", "Mar. 5th", "March 5-7", "2024-03-05", "3/5/2024"
 * (month first unless that cannot be), "25.12.2024" (day first), "March 2024".
 */
export function expandDates(text: string): string {
	return text
		.replace(
			iso,
			(_, year: string, _mark: string, month: string, day: string) =>
				monthDay(MONTHS[Number(month) - 1] as string, day, year),
		)
		.replace(
			dayRange,
			(_, from: string, to: string, month: string, year?: string) => {
				const date = `the ${spellOrdinal(from)} to the ${spellOrdinal(to)} of ${monthName(month)}`;
				return year ? `${date}, ${spellYear(year)}` : date;
			},
		)
		.replace(
			numeric,
			(whole, a: string, mark: string, b: string, year: string) => {
				// Two-digit years with dots are version numbers more often than dates, with hyphens scores.
				if (year.length === 2 && mark !== "/") return whole;
				const monthIsFirst = mark !== "." && Number(a) <= 12;
				const [month, day] = monthIsFirst ? [Number(a), b] : [Number(b), a];
				const name = MONTHS[month - 1];
				if (!name || Number(day) < 1 || Number(day) > 31) return whole;
				const full =
					year.length === 4 ? year : (Number(year) < 70 ? "20" : "19") + year;
				return monthDay(name, day, full);
			},
		)
		.replace(
			dayFirst,
			(whole, _the, day: string, month: string, year?: string) => {
				// "in 5 May" does not occur, but "5 Mar" without a year could be a name: it takes a full month.
				if (!year && monthName(month) !== month) return whole;
				const date = `the ${spellOrdinal(day)} of ${monthName(month)}`;
				return year ? `${date}, ${spellYear(year)}` : date;
			},
		)
		.replace(
			monthFirst,
			(_, month: string, day: string, to?: string, year?: string) => {
				const until = to ? ` to ${spellOrdinal(to)}` : "";
				const date = `${monthName(month)} ${spellOrdinal(day)}${until}`;
				return year ? `${date}, ${spellYear(year)}` : date;
			},
		)
		.replace(
			monthYear,
			(_, month: string, year: string) =>
				`${monthName(month)} ${spellYear(year)}`,
		);
}

/** "the 1990s" -> "the nineteen nineties", "the '80s" and "the 80s" -> "the eighties". */
export function expandDecades(text: string): string {
	return text.replace(
		/(?<![\w.,])['’]?((?:1\d|20)?\d0)['’]?s\b/g,
		(_, digits: string) => spellDecade(digits),
	);
}

/**
 * Four plain digits are a year (1100 to 2099) unless something is counted: "in 1984", but "1500 cases" is a
 * number. In pairs either way, "fifteen hundred", so a wrong guess still says the right number.
 */
export function expandYears(text: string): string {
	return text.replace(
		/(?<![\w$£€.,/:]|(?<![A-Za-z])-)(1[1-9]\d{2}|20\d{2})(?![\w%°]|[.,:/]\d)(?=(?: ([a-z]+))?)/g,
		(_, digits: string, next?: string) => {
			const counted =
				next !== undefined && /(?:[^s]s|people|men|women|children)$/.test(next);
			const clause = /^(?:was|is|has|as|this|its|his|does|us|yes)$/.test(
				next ?? "",
			);
			return counted && !clause ? spellCardinal(digits) : spellYear(digits);
		},
	);
}

function minutes(text: string): string {
	const n = Number(text);
	return n < 10 ? `oh ${spellCardinal(text)}` : spellCardinal(text);
}

const DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(
	" ",
);
const SHORT_DAY = "(Mon|Tues?|Wed|Thu|Thurs|Fri|Sat|Sun)";

/** "Mon-Fri" -> "Monday to Friday", "Sat, 5" -> "Saturday, 5". */
export function expandDays(text: string): string {
	const full = (short: string) =>
		DAYS.find((d) => d.startsWith(short.slice(0, 3))) as string;
	return (
		text
			.replace(
				new RegExp(`\\b${SHORT_DAY}\\.?\\s?[-–]\\s?${SHORT_DAY}\\b`, "g"),
				(_, from: string, to: string) => `${full(from)} to ${full(to)}`,
			)
			.replace(
				new RegExp(`\\b${SHORT_DAY}\\.?(?=,? (?:\\d|at \\d))`, "g"),
				(_, day: string) => full(day),
			)
			// the others are words as well
			.replace(/\b(?:Tues?|Thu(?:rs)?|Fri)\b(?!\.)/g, full)
	);
}

/** "3:45 pm" -> "three forty five P M", "15:30", "7:05", "3:00" -> "three o'clock", "9 a.m.", "1:23:45". */
export function expandTimes(text: string): string {
	const meridiem = (m?: string) => (m ? ` ${m[0]?.toUpperCase()} M` : "");
	return text
		.replace(
			/(?<![\d:.,])(1[0-2]|0?[1-9])\.([0-5]\d)(?=\s?[ap]\.?m\b)/gi,
			"$1:$2",
		)
		.replace(/(\d:\d\d|\d\s?[ap]\.?m\.?)\s?[-–]\s?(?=\d)/gi, "$1 to ")
		.replace(
			/(?<![\d:.,–-])(1[0-2]|[1-9])\s?[-–]\s?(?=(?:1[0-2]|[1-9])(?::[0-5]\d)?\s?[ap]\.?m\b)/gi,
			"$1 to ",
		)
		.replace(
			/(?<![\d:.,])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?!\d|:\d)(?:\s?([ap])(?:m\b|\.\s?m\.(?! ?$)|\.\s?m(?=\.)))?/gi,
			(_, h: string, m: string, s?: string, half?: string) => {
				const hour = spellCardinal(h);
				if (s)
					return `${hour} ${minutes(m)} and ${spellCardinal(s)} seconds${meridiem(half)}`;
				if (Number(m) > 0) return `${hour} ${minutes(m)}${meridiem(half)}`;
				if (half) return hour + meridiem(half);
				return Number(h) >= 1 && Number(h) <= 12
					? `${hour} o'clock`
					: `${hour} hundred`;
			},
		)
		.replace(
			/(?<![\d:.,])(1[0-2]|0?[1-9])\s?([ap])(?:m\b|\.\s?m\.(?! ?$)|\.\s?m(?=\.))/gi,
			(_, h: string, half: string) => spellCardinal(h) + meridiem(half),
		);
}
