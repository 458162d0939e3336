/** A word's place in its sentence, in lower case; "" at the ends. */
export interface Context {
	previous: string;
	next: string;
}

const VERB_CUES = new Set(
	(
		"to will would can could shall should must may might not don't didn't doesn't won't can't cannot couldn't " +
		"wouldn't shouldn't i'll you'll we'll they'll he'll she'll let's please help helps helped"
	).split(" "),
);
const PRONOUNS = new Set("i you we they who".split(" "));
const PERFECT = new Set(
	"have has had having was were been be is are i've you've we've they've he's".split(
		" ",
	),
);
const DETERMINERS = new Set(
	"the a an this that these those it them him her us me your my our their his its".split(
		" ",
	),
);

const verb = ({ previous }: Context) =>
	VERB_CUES.has(previous) || PRONOUNS.has(previous);
const object = ({ next }: Context) => DETERMINERS.has(next);

interface Homograph {
	/** The pronunciation unless `when` holds. */
	usual: string;
	other: string;
	when: (c: Context) => boolean;
}

/** The verb against the noun or adjective. */
const asVerb = (other: string, usual: string): Homograph => ({
	usual,
	other,
	when: verb,
});

const HOMOGRAPHS: Record<string, Homograph> = {
	read: {
		usual: "r eh d",
		other: "r iy d",
		when: (c) => (verb(c) || c.previous === "") && !PERFECT.has(c.previous),
	},
	live: {
		usual: "l ih v",
		other: "l ay v",
		when: ({ previous, next }) =>
			/^(?:music|show|shows|performance|performances|concert|stream|streaming|broadcast|broadcasts|audience|tv|event|events|recording|wire|action|updates|coverage|demo|audio|video|speech|data)$/.test(
				next,
			) || /^(?:going|go|goes|went|a)$/.test(previous),
	},
	lives: {
		usual: "l ih v z",
		other: "l ay v z",
		when: ({ previous }) =>
			/^(?:our|their|your|many|the|of|save|saved|saves|daily|all|two|nine)$/.test(
				previous,
			),
	},
	lead: {
		usual: "l iy d",
		other: "l eh d",
		when: ({ previous, next }) =>
			/^(?:pipe|pipes|paint|poisoning|acid|bullet|bullets|weights?|shield)$/.test(
				next,
			) || previous === "molten",
	},
	wind: {
		usual: "w ih n d",
		other: "w ay n d",
		when: (c) =>
			c.next === "up" ||
			c.next === "down" ||
			(VERB_CUES.has(c.previous) && object(c)),
	},
	tear: {
		usual: "t ih r",
		other: "t eh r",
		when: (c) => verb(c) || /^(?:apart|up|down|off)$/.test(c.next),
	},
	close: {
		usual: "k l ow s",
		other: "k l ow z",
		when: (c) => verb(c) || object(c) || c.next === "down",
	},
	use: {
		usual: "y uw z",
		other: "y uw s",
		when: ({ previous, next }) =>
			/^(?:the|a|of|in|no|its|his|their|my|our|your|for|this|that|any|some|much|more|energy|power|land|water)$/.test(
				previous,
			) || next === "of",
	},
	used: {
		usual: "y uw z d",
		other: "y uw s t",
		when: ({ previous, next }) =>
			next === "to" && !/^(?:is|was|are|were|be|been|being|it)$/.test(previous),
	},
	wound: {
		usual: "w uw n d",
		other: "w aw n d",
		when: ({ next }) => /^(?:up|down|around|through)$/.test(next),
	},
	bass: {
		usual: "b ey s",
		other: "b ae s",
		when: ({ previous, next }) =>
			/^(?:fish|fishing)$/.test(next) ||
			/^(?:sea|striped|caught)$/.test(previous),
	},
	dove: {
		usual: "d ah v",
		other: "d ow v",
		when: ({ next }) => /^(?:into|in|off|down)$/.test(next),
	},
	bow: {
		usual: "b ow",
		other: "b aw",
		when: (c) =>
			verb(c) || /^(?:of|down|before)$/.test(c.next) || c.previous === "ship's",
	},
	minute: {
		usual: "m ih n ax t",
		other: "m ay n uw t",
		when: ({ next }) => /^(?:amounts?|details?|traces?)$/.test(next),
	},
	record: asVerb("r ax k ao r d", "r eh k er d"),
	records: {
		usual: "r eh k er d z",
		other: "r ax k ao r d z",
		when: ({ previous }) => /^(?:he|she|it|that|which|who)$/.test(previous),
	},
	present: asVerb("p r iy z eh n t", "p r eh z ax n t"),
	object: asVerb("ax b jh eh k t", "aa b jh eh k t"),
	project: asVerb("p r ax jh eh k t", "p r aa jh eh k t"),
	produce: {
		usual: "p r ax d uw s",
		other: "p r ow d uw s",
		when: ({ previous }) =>
			/^(?:the|fresh|local|farm|of|organic)$/.test(previous),
	},
	refuse: {
		usual: "r ax f y uw z",
		other: "r eh f y uw s",
		when: ({ previous }) => /^(?:the|of|household)$/.test(previous),
	},
	desert: asVerb("d ih z er t", "d eh z er t"),
	content: {
		usual: "k aa n t eh n t",
		other: "k ax n t eh n t",
		when: ({ previous, next }) =>
			/^(?:be|is|was|were|are|felt|feel|perfectly|quite)$/.test(previous) ||
			next === "with",
	},
	perfect: asVerb("p er f eh k t", "p er f ih k t"),
	conduct: asVerb("k ax n d ah k t", "k aa n d ah k t"),
	conflict: asVerb("k ax n f l ih k t", "k aa n f l ih k t"),
	contract: asVerb("k ax n t r ae k t", "k aa n t r ae k t"),
	contrast: asVerb("k ax n t r ae s t", "k aa n t r ae s t"),
	convert: {
		usual: "k ax n v er t",
		other: "k aa n v er t",
		when: ({ previous }) => /^(?:a|the|new)$/.test(previous),
	},
	progress: asVerb("p r ax g r eh s", "p r aa g r eh s"),
	rebel: asVerb("r ax b eh l", "r eh b ax l"),
	subject: asVerb("s ax b jh eh k t", "s ah b jh eh k t"),
	separate: asVerb("s eh p er ey t", "s eh p er ax t"),
	estimate: asVerb("eh s t ax m ey t", "eh s t ax m ax t"),
	graduate: asVerb("g r ae jh uw ey t", "g r ae jh ax w ax t"),
	moderate: asVerb("m aa d er ey t", "m aa d er ax t"),
	deliberate: asVerb("d ih l ih b er ey t", "d ih l ih b er ax t"),
	alternate: asVerb("ao l t er n ey t", "ao l t er n ax t"),
	duplicate: asVerb("d uw p l ax k ey t", "d uw p l ax k ax t"),
	excuse: asVerb("ih k s k y uw z", "ih k s k y uw s"),
	house: asVerb("hh aw z", "hh aw s"),
	abuse: asVerb("ax b y uw z", "ax b y uw s"),
};

/** A homograph's phones in its context; undefined for other words. */
export function homograph(
	word: string,
	context: Context,
): string[] | undefined {
	const entry = HOMOGRAPHS[word];
	if (!entry) return undefined;
	return (entry.when(context) ? entry.other : entry.usual).split(" ");
}
