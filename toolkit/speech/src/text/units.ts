import { spellNumber } from "./numbers.ts";

/** Abbreviation -> name in the singular and, where it is not singular + s, in the plural. */
const UNITS: Record<string, readonly [string, string?]> = {
	mm: ["millimeter"],
	cm: ["centimeter"],
	dm: ["decimeter"],
	m: ["meter"],
	km: ["kilometer"],
	nm: ["nanometer"],
	μm: ["micrometer"],
	ft: ["foot", "feet"],
	yd: ["yard"],
	mi: ["mile"],
	mg: ["milligram"],
	μg: ["microgram"],
	g: ["gram"],
	kg: ["kilogram"],
	lb: ["pound"],
	lbs: ["pound"],
	oz: ["ounce"],
	ml: ["milliliter"],
	mL: ["milliliter"],
	cl: ["centiliter"],
	l: ["liter"],
	L: ["liter"],
	gal: ["gallon"],
	tbsp: ["tablespoon"],
	tsp: ["teaspoon"],
	ns: ["nanosecond"],
	μs: ["microsecond"],
	ms: ["millisecond"],
	s: ["second"],
	sec: ["second"],
	secs: ["second"],
	min: ["minute"],
	mins: ["minute"],
	h: ["hour"],
	hr: ["hour"],
	hrs: ["hour"],
	yr: ["year"],
	yrs: ["year"],
	mW: ["milliwatt"],
	W: ["watt"],
	kW: ["kilowatt"],
	MW: ["megawatt"],
	GW: ["gigawatt"],
	TW: ["terawatt"],
	Wh: ["watt hour"],
	mWh: ["milliwatt hour"],
	kWh: ["kilowatt hour"],
	MWh: ["megawatt hour"],
	GWh: ["gigawatt hour"],
	TWh: ["terawatt hour"],
	mJ: ["millijoule"],
	J: ["joule"],
	kJ: ["kilojoule"],
	MJ: ["megajoule"],
	kcal: ["kilocalorie"],
	cal: ["calorie"],
	mV: ["millivolt"],
	V: ["volt"],
	kV: ["kilovolt"],
	mA: ["milliamp"],
	A: ["amp"],
	mAh: ["milliamp hour"],
	Ah: ["amp hour"],
	Ω: ["ohm"],
	kΩ: ["kilohm"],
	MΩ: ["megohm"],
	Hz: ["hertz", "hertz"],
	kHz: ["kilohertz", "kilohertz"],
	MHz: ["megahertz", "megahertz"],
	GHz: ["gigahertz", "gigahertz"],
	dB: ["decibel"],
	kbps: ["kilobit per second", "kilobits per second"],
	Mbps: ["megabit per second", "megabits per second"],
	Gbps: ["gigabit per second", "gigabits per second"],
	kb: ["kilobit"],
	Mb: ["megabit"],
	Gb: ["gigabit"],
	kB: ["kilobyte"],
	KB: ["kilobyte"],
	MB: ["megabyte"],
	GB: ["gigabyte"],
	TB: ["terabyte"],
	PB: ["petabyte"],
	KiB: ["kibibyte"],
	MiB: ["mebibyte"],
	GiB: ["gibibyte"],
	TiB: ["tebibyte"],
	Pa: ["pascal"],
	hPa: ["hectopascal"],
	kPa: ["kilopascal"],
	MPa: ["megapascal"],
	mbar: ["millibar"],
	psi: ["pound per square inch", "pounds per square inch"],
	N: ["newton"],
	kN: ["kilonewton"],
	lm: ["lumen"],
	ha: ["hectare"],
	px: ["pixel"],
	mph: ["mile per hour", "miles per hour"],
	kmh: ["kilometer per hour", "kilometers per hour"],
	kph: ["kilometer per hour", "kilometers per hour"],
	rpm: ["revolution per minute", "revolutions per minute"],
	bpm: ["beat per minute", "beats per minute"],
	fps: ["frame per second", "frames per second"],
	dpi: ["dot per inch", "dots per inch"],
	ppm: ["part per million", "parts per million"],
	"°C": ["degree Celsius", "degrees Celsius"],
	"°F": ["degree Fahrenheit", "degrees Fahrenheit"],
	"°": ["degree"],
	gCO2e: ["gram of CO2e", "grams of CO2e"],
	kgCO2e: ["kilogram of CO2e", "kilograms of CO2e"],
};

/** Read as units even where no number stands before them; shorter ones would be taken for words. */
const ALONE =
	/^(?:[kMGT]?Wh|mWh|mAh|[kMG]W|[kM]J|[kMG]?Hz|[MGT]i?B|[kKMG]bps|dB|k[gm]|[cm]m|mph|km\/h|m\/s|°[CF])$/;

const names = Object.keys(UNITS)
	.sort((a, b) => b.length - a.length)
	.map((u) => u.replace("μ", "[μµ]"));
const POWER = "(?:\\^?[23]|[²³])";
// A power belongs to a letter: the 3 of "0°3.5" is a number of its own.
const ONE = `(?:${names.join("|")})(?:(?<=[A-Za-z])${POWER})?`;
const NUMBER = "\\d(?:[\\d,]*\\d)?(?:\\.\\d+)?";
const SCALE = "(?: (?:hundred|thousand|million|billion|trillion))?";

const counted = new RegExp(
	`(?<![\\w.])(${NUMBER})(${SCALE})([ \\u00a0\\u202f-]?)(${ONE})((?:\\/(?:100 ?)?${ONE})?)(?![\\w°²³])(?:\\.(?= \\p{Ll}))?`,
	"gu",
);
const alone = new RegExp(
	`(?<![\\w/.])(${ONE})((?:\\/${ONE})?)(?![\\w/²³])`,
	"g",
);

function name(unit: string, one: boolean): string {
	const power = unit.match(new RegExp(`(?<=[A-Za-z])${POWER}$`))?.[0] ?? "";
	const [singular, plural] = UNITS[
		unit.slice(0, unit.length - power.length).replace("µ", "μ")
	] as [string, string?];
	const kind = /[2²]/.test(power) ? "square " : power ? "cubic " : "";
	return kind + (one ? singular : (plural ?? `${singular}s`));
}

function rate(unit: string): string {
	if (unit === "") return "";
	const hundred = unit.startsWith("/100");
	const below = unit.replace(/^\/(?:100 ?)?/, "");
	if (/^s[2²]$/.test(below)) return " per second squared";
	return ` per ${hundred ? "hundred " : ""}${name(below, !hundred)}`;
}

/** "5 km/h" -> "five kilometers per hour", "a 10-kg bag" -> "a ten kilogram bag"; "in kWh" -> "in kilowatt hours". */
export function expandUnits(text: string): string {
	return text
		.replace(/(?<=\d ?k?g) ?CO2(?:eq?)?\b/g, "CO2e")
		.replace(
			counted,
			(
				whole,
				number: string,
				scale: string,
				gap: string,
				unit: string,
				per: string,
			) => {
				// "3 A students", "2 s": a lone capital after a space is more often a letter than amperes or newtons.
				if (gap === " " && per === "" && /^[AN]$/.test(unit)) return whole;
				// "100-m" is an adjective; "5-s" would be too, but "50-s" styles are decades.
				const one = gap === "-" || (number === "1" && scale === "");
				return `${spellNumber(number)}${scale} ${name(unit, one)}${rate(per)}`;
			},
		)
		.replace(/\bCO2eq?\b/g, "carbon dioxide equivalent")
		.replace(
			alone,
			(found, unit: string, per: string, offset: number, whole: string) => {
				if (!ALONE.test(unit + per)) return found;
				const one = /\b(?:per|an?|each) $/.test(whole.slice(0, offset));
				return `${name(unit, one)}${rate(per)}`;
			},
		);
}
