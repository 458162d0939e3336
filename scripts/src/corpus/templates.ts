import { fromCmu } from "./phones.ts";
import { pick, type Random } from "./random.ts";
import { normal, type Sentence } from "./sentences.ts";

// What WordNet's examples lack: questions, lists, times, numbers in words, addresses to somebody.
const SLOTS: Record<string, readonly string[]> = {
	name: "Anna,Thomas,Julia,Peter,Alice,Robert,Emily,George,Laura,Henry,Sarah,David,Martin,Helen,Joseph,Olivia,Samuel,Victoria,Arthur,Sophie".split(
		",",
	),
	place:
		"London,Paris,Boston,Chicago,the station,the harbor,the airport,the library,the market,the old bridge,the village,the office,the museum,the garden,the river,the hotel,the school,the theater".split(
			",",
		),
	day: "Monday,Tuesday,Wednesday,Thursday,Friday,Saturday,Sunday".split(","),
	month:
		"January,February,March,April,May,June,July,August,September,October,November,December".split(
			",",
		),
	number:
		"two,three,four,five,six,seven,eight,nine,ten,eleven,twelve,thirteen,fourteen,fifteen,sixteen,seventeen,eighteen,nineteen,twenty,thirty,forty,fifty,sixty,seventy,eighty,ninety".split(
			",",
		),
	hour: "one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve".split(
		",",
	),
	minute:
		"fifteen,twenty,thirty five,forty,ten,twenty five,fifty,oh five".split(","),
	ordinal:
		"first,second,third,fourth,fifth,sixth,seventh,eighth,ninth,tenth,twelfth,twentieth".split(
			",",
		),
	thing:
		"apples,books,flowers,letters,chairs,bottles,pictures,boxes,oranges,shoes,keys,lamps,cameras,tickets,clocks,sandwiches,newspapers,umbrellas,potatoes,batteries".split(
			",",
		),
	adjective:
		"red,quiet,heavy,beautiful,strange,useful,enormous,yellow,careful,brilliant,thirsty,cheerful,ordinary,square,gentle,rough,smooth,youthful".split(
			",",
		),
	unit: "miles,hours,minutes,pounds,dollars,percent,degrees,meters,kilometers,seconds,watts,gallons".split(
		",",
	),
	weather:
		"sunny,cloudy,windy,rainy,foggy,warm,cold,mild,stormy,freezing".split(","),
};

const PATTERNS: readonly string[] = [
	"Where did you put the {adjective} {thing}, {name}?",
	"{name}, could you meet me at {place} on {day}?",
	"Why is the {adjective} one more expensive than the other?",
	"How many {thing} do we need for {day}?",
	"Would you rather go to {place}, or stay here until {day}?",
	"The next train to {place} leaves at {hour} {minute}.",
	"They bought {thing}, {thing}, and {number} {adjective} {thing}.",
	"It was {number} {unit} from {place}, give or take.",
	"On the {ordinal} of {month}, it will be {weather} and {weather}.",
	"Well, {name} said that the {thing} were {adjective}, not {adjective}.",
	"Yes, the {ordinal} door on the left, just past {place}.",
	"No, thank you, {name}, I have {number} already.",
	"If it is {weather} on {day}, we can walk to {place}.",
	"Who told you that {name} had gone to {place}?",
	"{number} plus {number} is not {number}, is it?",
	"In {month}, the temperature near {place} falls to {number} degrees.",
	"Good morning, {name}, did you sleep well?",
	"What time does {place} open on {day}?",
	"Press the {adjective} button, wait {number} seconds, then press it again.",
	"The battery is at {number} percent, and it will last about {number} hours.",
	"Turn left in {number} hundred meters, then keep right.",
	"My number is {hour} {hour} {hour}, {hour} {hour} {hour} {hour}.",
	"Can you hear the {thing} from {place}?",
	"I asked for {number} {thing}, but {name} brought {number}.",
];

/**
 * A sentence made from a pattern, or undefined when a word of it is missing from the dictionary.
 */
export function template(
	dictionary: Readonly<Record<string, string>>,
	next: Random,
): Sentence | undefined {
	const made = pick(PATTERNS, next).replace(/\{(\w+)\}/g, (_, slot: string) =>
		pick(SLOTS[slot] ?? [slot], next),
	);
	const text = made.charAt(0).toUpperCase() + made.slice(1);
	const phones: string[] = [];
	for (const word of normal(text).split(" ")) {
		const symbols = dictionary[word];
		if (symbols === undefined) return;
		phones.push(...fromCmu(symbols));
	}
	return { text, phones };
}
