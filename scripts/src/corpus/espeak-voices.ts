/** Median pitch in Hz of an espeak-ng variant at its pitch settings 0, 50 and 99 (measured on en-us, 1.51). */
export type PitchRange = readonly [low: number, middle: number, high: number];

/** Variants in training. None echoes, whispers or hums: those effects blur the phones. */
export const TRAIN_VARIANTS: Readonly<Record<string, PitchRange>> = {
	f1: [120, 181, 306],
	Alex: [66, 104, 197],
	Andrea: [153, 245, 432],
	m1: [66, 95, 158],
	Annie: [195, 242, 345],
	Andy: [65, 96, 170],
	anika: [172, 266, 441],
	Denis: [69, 99, 167],
	Gene: [65, 95, 163],
	linda: [137, 230, 416],
	Gene2: [71, 115, 202],
	shelby: [143, 184, 269],
	Jacky: [83, 120, 195],
	Lee: [64, 96, 170],
	Nguyen: [110, 150, 235],
	Mario: [83, 114, 171],
	Michael: [81, 109, 174],
	steph: [106, 184, 334],
	Mike: [68, 91, 147],
	adam: [72, 102, 171],
	antonio: [78, 112, 182],
	boris: [72, 103, 171],
	david: [60, 75, 126],
	ed: [91, 126, 204],
	gustave: [78, 110, 178],
	iven: [70, 101, 163],
	john: [68, 102, 172],
	m3: [73, 107, 174],
	m4: [70, 96, 153],
	m5: [70, 104, 172],
	m6: [69, 102, 172],
	m7: [79, 107, 170],
	marcelo: [79, 101, 154],
	max: [72, 102, 171],
	norbert: [68, 101, 172],
	pedro: [68, 104, 174],
	robert: [80, 103, 154],
	sandro: [69, 99, 166],
};

/** Variants that only held-out speakers use. */
export const HELDOUT_VARIANTS: Readonly<Record<string, PitchRange>> = {
	aunty: [78, 174, 361],
	belinda: [137, 230, 416],
	caleb: [72, 103, 171],
	iven3: [72, 101, 163],
	kaukovalta: [76, 103, 161],
	m8: [66, 86, 140],
	paul: [64, 86, 144],
	quincy: [63, 90, 145],
	rob: [103, 119, 156],
	travis: [77, 106, 175],
	victor: [65, 95, 165],
	edward: [68, 102, 171],
};

// Pitch setting -> place between the low (-1), middle (0) and high (1) pitch, measured on en-us.
const CURVE: readonly (readonly [setting: number, place: number])[] = [
	[0, -1],
	[15, -0.823],
	[30, -0.526],
	[50, 0],
	[65, 0.24],
	[80, 0.526],
	[99, 1],
];

/** The pitch setting (0-99) at which a variant speaks with about this median pitch. */
export function pitchSetting(range: PitchRange, hz: number): number {
	const [low, middle, high] = range;
	const place =
		hz < middle
			? (hz - middle) / (middle - low)
			: (hz - middle) / (high - middle);
	for (const [i, [setting, at]] of CURVE.entries()) {
		const before = CURVE[i - 1];
		if (place > at) continue;
		if (!before) return setting;
		const [fromSetting, from] = before;
		return Math.round(
			fromSetting + ((place - from) / (at - from)) * (setting - fromSetting),
		);
	}
	return 99;
}
