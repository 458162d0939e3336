/**
 * Rails that everything on the module (VDD_IN; POM_5V_IN on Nano and TX1) or on the whole board
 * (VIN, Thor's carrier) is fed through. The other rails are parts of them.
 */
const INPUTS = ["VIN", "VDD_IN", "POM_5V_IN"];

/** Which rails make up a board's power. */
export interface RailChoice {
	/** Names, in the order given. They never overlap. */
	use: string[];
	/** What they cover and what they leave out. */
	scope: string;
}

/** A channel that is wired to nothing, or that sums the others' shunts. */
export function isSpare(label: string): boolean {
	return /^(nc)?$|sum of shunt/i.test(label.trim());
}

/**
 * The input rail where there is one, else all rails: never both, which would count twice.
 * @returns undefined when no rail is left
 */
export function chooseRails(labels: readonly string[]): RailChoice | undefined {
	const input = INPUTS.find((name) => labels.includes(name));
	if (input)
		return {
			use: [input],
			scope:
				input === "VIN"
					? "the whole board at its input, carrier included"
					: "the whole module at its input; without the carrier board",
		};
	const use = labels.filter((label) => !isSpare(label));
	if (use.length === 0) return undefined;
	return {
		use,
		scope: `the sum of the module's rails (${use.join(", ")}); without the carrier board and what no rail shows`,
	};
}
