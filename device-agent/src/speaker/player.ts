import { findProgram } from "@wattvox/energy";

/** A program that plays raw 16-bit little-endian mono from its standard input. */
export interface Player {
	/** "PipeWire" or "ALSA". */
	system: string;
	program: string;
	/** Its arguments for a sample rate. */
	args(rate: number): string[];
}

const PLAYERS: readonly {
	system: string;
	name: string;
	args(rate: number): string[];
}[] = [
	{
		system: "PipeWire",
		name: "pw-cat",
		args: (rate) =>
			`--playback --raw --format s16 --channels 1 --rate ${rate} -`.split(" "),
	},
	{
		system: "ALSA",
		name: "aplay",
		args: (rate) => `-q -t raw -f S16_LE -c 1 -r ${rate} -`.split(" "),
	},
];

/** The players that are installed, PipeWire's first: where it runs, it holds the sound card. */
export function findPlayers(env: NodeJS.ProcessEnv = process.env): Player[] {
	return PLAYERS.flatMap(({ system, name, args }) => {
		const program = findProgram(name, env);
		return program ? [{ system, program, args }] : [];
	});
}
