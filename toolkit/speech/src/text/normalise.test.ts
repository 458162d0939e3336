import test from "ava";
import fc from "fast-check";
import { normalise } from "./normalise.ts";

/** Groups of (text, as spoken). */
const TABLE: Record<string, Record<string, string>> = {
	numbers: {
		"I have 3 cats, 21 dogs.": "I have three cats, twenty one dogs.",
		"1,234,567 fish":
			"one million two hundred thirty four thousand five hundred sixty seven fish",
		"pi is 3.14159": "pi is three point one four one five nine",
		"agent 007": "agent zero zero seven",
		"It fell by .5 points.": "It fell by point five points.",
		"from -3 to 5": "from minus three to five",
		"1 000 000 people": "one million people",
		"pages 5-10": "pages five to ten",
		"pages 5–10": "pages five to ten",
		"the score was 3 - 2": "the score was three to two",
		"it was −5, –6 or (-7)": "it was minus five, minus six or (minus seven)",
		"x=-2": "x equals minus two",
		"1'000'000 or 1_000": "one million or one thousand",
		"0x1F": "zero x one F",
		"1e-3": "one e minus three",
		"6.02×10^23": "six point zero two times ten to the power of twenty three",
		"x^2 + y^3": "x squared plus y cubed",
		"scale 1:100": "scale one to one hundred",
		"16:9": "sixteen to nine",
		"zero point 0.5": "zero point zero point five",
		"10,000 or 10,5%": "ten thousand or ten, five percent",
		"4111 1111 1111 1111":
			"four one one one, one one one one, one one one one, one one one one",
		"ISBN 978-3-16-148410-0":
			"ISBN nine seven eight, three, one six, one four eight four one zero, zero",
		"NY 10001-1234": "NY one zero zero zero one, one two three four",
	},
	ordinals: {
		"the 1st, 2nd, 3rd and 4th": "the first, second, third and fourth",
		"his 21st birthday": "his twenty first birthday",
		"the 1,000th time": "the one thousandth time",
		"the 11th, 12th, 13th": "the eleventh, twelfth, thirteenth",
		"the 22ND and the 5 th": "the twenty second and the fifth",
		"the 101st": "the one hundred first",
	},
	years: {
		"in 1984": "in nineteen eighty four",
		"in 2005 and 2024": "in two thousand five and twenty twenty four",
		"1914-1918": "nineteen fourteen to nineteen eighteen",
		"In 1500 cases": "In one thousand five hundred cases",
		"In 1945 it was over.": "In nineteen forty five it was over.",
		"the 1990s and the '80s": "the nineteen nineties and the eighties",
		"pre-1900": "pre-nineteen hundred",
		"1990–2000": "nineteen ninety to two thousand",
		"in '99": "in ninety nine",
	},
	dates: {
		"March 5, 2024": "March fifth, twenty twenty four",
		"Mar. 5th": "March fifth",
		"5 March 2024": "the fifth of March, twenty twenty four",
		"the 5th of March": "the fifth of March",
		"March 5-7": "March fifth to seventh",
		"10–12 May": "the tenth to the twelfth of May",
		"2024/03/05": "March fifth, twenty twenty four",
		"12-25-2024": "December twenty fifth, twenty twenty four",
		"Tue, Thu and Fri": "Tuesday, Thursday and Friday",
		"2024-03-05": "March fifth, twenty twenty four",
		"3/5/2024": "March fifth, twenty twenty four",
		"25/12/2024": "December twenty fifth, twenty twenty four",
		"25.12.2024": "December twenty fifth, twenty twenty four",
		"7/4/76": "July fourth, nineteen seventy six",
		"March 2024": "March twenty twenty four",
		"May 1.": "May first.",
		"Sat, 5 May": "Saturday, the fifth of May",
		"Mon-Fri": "Monday to Friday",
	},
	times: {
		"at 3:45 pm": "at three forty five P M",
		"at 9 a.m. sharp": "at nine A M sharp",
		"It ended at 5 p.m.": "It ended at five P M.",
		"15:30": "fifteen thirty",
		"7:05": "seven oh five",
		"at 3:00": "at three o'clock",
		"1:23:45": "one twenty three and forty five seconds",
		"12pm": "twelve P M",
		"10:15-11:30": "ten fifteen to eleven thirty",
		"9am-5pm": "nine A M to five P M",
		"3-4 p.m. today": "three to four P M today",
		"7.30 pm": "seven thirty P M",
	},
	money: {
		$5: "five dollars",
		$1: "one dollar",
		"$5.50": "five dollars and fifty cents",
		"$0.99": "ninety nine cents",
		"$1,299.01": "one thousand two hundred ninety nine dollars and one cent",
		"$3.5 million": "three point five million dollars",
		"£3bn": "three billion pounds",
		"£2.50": "two pounds and fifty pence",
		"€20": "twenty euros",
		"20 €": "twenty euros",
		"EUR 20": "twenty euros",
		"50 USD": "fifty US dollars",
		US$5k: "five thousand US dollars",
		"$5-10": "five to ten dollars",
		"¥500": "five hundred yen",
		"50¢": "fifty cents",
		"99p": "ninety nine pence",
		"-$5, −£3 and $-2.50":
			"minus five dollars, minus three pounds and minus two dollars and fifty cents",
		"$5/day": "five dollars per day",
		R$5: "five Brazilian reais",
		"₿2": "two bitcoins",
		"He paid $5, then left.": "He paid five dollars, then left.",
	},
	percent: {
		"5%": "five percent",
		"99.9 %": "ninety nine point nine percent",
		"5-10%": "five to ten percent",
		"-2%": "minus two percent",
	},
	units: {
		"5 km/h": "five kilometers per hour",
		"1 km": "one kilometer",
		"10 kg": "ten kilograms",
		"a 10-kg bag": "a ten kilogram bag",
		"20°C": "twenty degrees Celsius",
		"-5 °C": "minus five degrees Celsius",
		"5° C": "five degrees Celsius",
		"90° turn": "ninety degrees turn",
		"3 kWh": "three kilowatt hours",
		"measured in kWh": "measured in kilowatt hours",
		"16 GB": "sixteen gigabytes",
		"100 MB/s": "one hundred megabytes per second",
		"2 m²": "two square meters",
		"9.81 m/s²": "nine point eight one meters per second squared",
		"60 fps": "sixty frames per second",
		"5 million km": "five million kilometers",
		"7 l/100 km": "seven liters per hundred kilometers",
		"6'2\"": "six foot two",
		"6'2 tall": "six foot two tall",
		"90' long, 5\" wide": "ninety feet long, five inches wide",
		"12′ by 30″": "twelve feet by thirty inches",
		'a 1/4" nail': "a one quarter inch nail",
		"I said 'in 1990'": "I said 'in nineteen ninety'",
		"100/month": "one hundred per month",
		"2 tbsp, 1 tsp": "two tablespoons, one teaspoon",
		"20 ℃": "twenty degrees Celsius",
		"5 ft 10 in": "five feet ten inches",
		"5 μm": "five micrometers",
		"150 ms": "one hundred fifty milliseconds",
		"5 oz. of gold": "five ounces of gold",
		"1920x1080": "nineteen twenty by one thousand eighty",
		"3x faster": "three times faster",
		"12 g CO2e": "twelve grams of carbon dioxide equivalent",
		"1.5 kgCO2e/kWh":
			"one point five kilograms of carbon dioxide equivalent per kilowatt hour",
		"CO2 levels": "CO two levels",
	},
	fractions: {
		"1/2": "one half",
		"3/4 cup": "three quarters cup",
		"1 1/2": "one and a half",
		"2½ cups": "two and a half cups",
		"5/16": "five sixteenths",
		"⅔": "two thirds",
		"open 24/7": "open twenty four seven",
	},
	"roman numerals": {
		"Henry VIII": "Henry the eighth",
		"Elizabeth II's reign": "Elizabeth the second's reign",
		"World War II": "World War two",
		"Chapter IV": "Chapter four",
		"the XIX century": "the nineteenth century",
		"Rocky III": "Rocky three",
		"I am": "I am",
		"vitamin C": "vitamin C",
		"Act III, Scene ii": "Act three, Scene two",
		MCMXCIV: "nineteen ninety four",
		"the XIV games": "the fourteen games",
		"size XXL, XXX": "size XXL, XXX",
		"a mix of CD and DVD": "a mix of CD and DVD",
	},
	abbreviations: {
		"Dr. Smith": "Doctor Smith",
		"Mr. and Mrs. Jones": "Mister and Missus Jones",
		"12 Main St. is far": "twelve Main Street is far",
		"St. Paul": "Saint Paul",
		"Elm Dr. is near": "Elm Drive is near",
		"cats, dogs, etc.": "cats, dogs, et cetera.",
		"cats, etc. and more": "cats, et cetera and more",
		"e.g. this": "for example this",
		"i.e., that": "that is, that",
		"A vs. B": "A versus B",
		"No. 5": "number five",
		"vol. 3, pp. 5-10": "volume three, pages five to ten",
		"Acme Inc. and Co.": "Acme incorporated and company.",
		"the U.S. Army": "the U S Army",
		"the U.S.": "the U S.",
		"a Ph.D. student": "a P H D student",
		"J. K. Rowling": "J K Rowling",
		"w/o sugar and/or milk": "without sugar and or milk",
		"red vs blue": "red versus blue",
		"e. g. this": "for example this",
		"Bob, a.k.a. Rob": "Bob, also known as Rob",
		"Eq. (3)": "equation (three)",
		"George W. Bush and J.R.R. Tolkien": "George W Bush and J R R Tolkien",
		"Martin Luther King Jr. spoke": "Martin Luther King junior spoke",
	},
	phones: {
		"555-1234": "five five five, one two three four",
		"(555) 123-4567": "five five five, one two three, four five six seven",
		"+44 20 7946 0958":
			"plus four four, two zero, seven nine four six, zero nine five eight",
		"0800 123 456": "zero eight zero zero, one two three, four five six",
		"call 911": "call nine one one",
		"911 people": "nine hundred eleven people",
	},
	addresses: {
		"https://www.example.com/path": "example dot com slash path",
		"see example.org.": "see example dot org.",
		"jane.doe@mail.co.uk": "jane dot doe at mail dot co dot U K",
		"open report.pdf": "open report dot P D F",
		"192.168.0.1":
			"one hundred ninety two dot one hundred sixty eight dot zero dot one",
		"v1.2.3": "version one point two point three",
		"a_b+c@d-e.com": "a underscore b plus c at d dash e dot com",
		"ftp://x.org/a?b=1": "x dot org slash a question mark b equals one",
	},
	signs: {
		"AT&T": "AT and T",
		"C++ and C#": "C plus plus and C sharp",
		"#5": "number five",
		"#WattVox": "hashtag WattVox",
		"@user": "at user",
		"5+5=10": "five plus five equals ten",
		"5 - 3 = 2": "five minus three equals two",
		"3 × 4 = 12": "three times four equals twelve",
		"10 ÷ 2": "ten divided by two",
		"he/she": "he slash she",
		"~5": "about five",
		"<5": "less than five",
		">= 10": "greater than or equal to ten",
		"**bold** _text_": "bold text",
		"5 ± 2": "five plus or minus two",
		"the angle α": "the angle alpha",
		"a<b and 5>3": "a less than b and five greater than three",
		"x <= y": "x less than or equal to y",
		"<b>bold</b>": "bold",
		"> quoted": "quoted",
		"a*b": "a times b",
		"a->b": "a to b",
		"TCP/IP": "TCP slash IP",
		"C:\\temp": "C: backslash temp",
	},
	"letters and digits": {
		"GPT-4": "GPT four",
		H200: "H two hundred",
		x86: "x eighty six",
		"4K": "four K",
		MP3: "MP three",
		"COVID-19": "COVID nineteen",
		RTX4090: "RTX forty ninety",
	},
	punctuation: {
		"He said “hello” — and left… (Really?) No!":
			'He said "hello", and left... (Really?) No!',
		"well-known": "well-known",
		"mother-in-law's T-shirt": "mother-in-law's T-shirt",
		"a 21-year-old": "a twenty one year-old",
		"the dogs' bowls, James's": "the dogs' bowls, James's",
		"  too   many\tspaces\n": "too many spaces",
		"naïve café, Łódź": "naive cafe, Lodz",
		"ﬁne ＡＢＣ": "fine ABC",
		"zero​width": "zerowidth",
	},
};

for (const [group, table] of Object.entries(TABLE))
	for (const [text, want] of Object.entries(table))
		test(`${group}: ${text.trim()}`, (t) => t.is(normalise(text), want));

test("a number right behind a degree sign is no power of it", (t) => {
	t.is(normalise("0°3.5"), "zero degrees three point five");
});

test("no digit is left, whatever the text", (t) => {
	const bits = fc.constantFrom(
		..."0 1 7 42 1999 3.5 1,000 $ £ % / - – : . , ( ) km kWh ° st th am pm Mar # + = @ x ' \" IV Dr. St. No. e.g. http:// .com A the".split(
			" ",
		),
		" ",
		" ",
		" ",
	);
	fc.assert(
		fc.property(fc.array(bits, { maxLength: 12 }), (parts) => {
			const said = normalise(parts.join(""));
			t.notRegex(said, /\d/, parts.join(""));
			t.notRegex(said, /undefined|NaN/);
		}),
		{ numRuns: 1000 },
	);
});

test("plain words stay as they are, and normalising twice changes nothing", (t) => {
	const word = fc.constantFrom(
		..."the quick brown fox jumps over lazy dogs and doesn't stop twenty Times".split(
			" ",
		),
	);
	fc.assert(
		fc.property(fc.array(word, { minLength: 1, maxLength: 10 }), (words) => {
			const text = `${words.join(" ")}.`;
			t.is(normalise(text), text);
		}),
	);
	for (const table of Object.values(TABLE))
		for (const want of Object.values(table))
			t.is(normalise(normalise(want)), normalise(want), want);
});
