/** What one line of tegrastats says; what it does not say is absent or null. */
export interface TegrastatsLine {
	/** Milliwatts now, by rail. */
	rails: Map<string, number>;
	/** Degrees Celsius by sensor; sensors that are switched off (-256) are left out. */
	temperatures: Map<string, number>;
	/** Load of the GPU, 0..1; null: not said. */
	gpuLoad: number | null;
}

// "VDD_IN 12479mW/12479mW" since JetPack 5, "POM_5V_IN 933/933" before, a third value on JetPack 7:
// now, mean, and (7) peak. Memory is "RAM 330/3964MB": its unit keeps it out.
const RAIL =
	/(?<=^|\s)([A-Z][A-Z0-9_]*) (-?\d+)(?:mW)?\/-?\d+(?:mW)?(?:\/-?\d+(?:mW)?)?(?=\s|$)/g;
const TEMPERATURE = /(?<=^|\s)([A-Za-z][A-Za-z0-9_]*)@(-?\d+(?:\.\d+)?)C/g;
const LOAD = /(?<=^|\s)GR3D(?:_FREQ)? (\d+)%/;

/** Reads a line of any release. Fields it does not know are skipped. */
export function parseTegrastats(line: string): TegrastatsLine {
	const rails = new Map<string, number>();
	for (const [, name, now] of line.matchAll(RAIL))
		if (name) rails.set(name, Number(now));
	const temperatures = new Map<string, number>();
	for (const [, name, value] of line.matchAll(TEMPERATURE))
		if (name && Number(value) > -200) temperatures.set(name, Number(value));
	const load = LOAD.exec(line)?.[1];
	return {
		rails,
		temperatures,
		gpuLoad: load === undefined ? null : Number(load) / 100,
	};
}
