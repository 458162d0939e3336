import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { WattvoxError } from "@wattvox/core";
import { findProgram } from "@wattvox/energy";

/** A program that plays raw 16-bit little-endian mono from its standard input. */
export interface Player {
	/** "PipeWire" or "ALSA". */
	system: string;
	program: string;
	/** Its arguments for a sample rate and an output of the sound system; its default without one. */
	args(rate: number, device?: string): string[];
}

/** Which player is used, and where it plays to. */
export interface PlayerChoice {
	/** `pw-cat`, `aplay`, or a path whose last part is one of these. Default: what runs here. */
	player?: string | undefined;
	/** PipeWire's target or ALSA's device. Default: the system's. */
	audioDevice?: string | undefined;
}

const PLAYERS: readonly (Pick<Player, "system" | "args"> & { name: string })[] =
	[
		{
			system: "PipeWire",
			name: "pw-cat",
			args: (rate, device) => [
				..."--playback --raw --format s16 --channels 1 --rate".split(" "),
				String(rate),
				...(device === undefined ? [] : [`--target=${device}`]),
				"-",
			],
		},
		{
			system: "ALSA",
			name: "aplay",
			args: (rate, device) => [
				..."-q -t raw -f S16_LE -c 1 -r".split(" "),
				String(rate),
				...(device === undefined ? [] : [`--device=${device}`]),
				"-",
			],
		},
	];

/** The players that are installed, PipeWire's first: where it runs, it holds the sound card. */
export function findPlayers(env: NodeJS.ProcessEnv = process.env): Player[] {
	return PLAYERS.flatMap(({ system, name, args }) => {
		const program = findProgram(name, env);
		return program ? [{ system, program, args }] : [];
	});
}

/**
 * Checks an operator's choice of player before anything is to be played.
 * @throws WattvoxError E_USAGE when it is a program whose arguments are not known
 */
export function checkPlayer({ player }: PlayerChoice): void {
	if (player !== undefined && !PLAYERS.some((p) => p.name === basename(player)))
		throw new WattvoxError(
			"E_USAGE",
			`the player ${player} is not pw-cat or aplay, nor a path to one`,
		);
}

/**
 * The player to use: the operator's choice, else PipeWire's where PipeWire runs for this account, else
 * ALSA's, else what there is.
 * @throws WattvoxError E_USAGE (a choice that is no player), E_PLAYER (none is installed)
 */
export function choosePlayer(
	choice: PlayerChoice = {},
	env: NodeJS.ProcessEnv = process.env,
): Player {
	const { player: wanted, audioDevice } = choice;
	checkPlayer(choice);
	const found = wanted?.includes("/")
		? PLAYERS.filter((p) => p.name === basename(wanted)).map((p) => ({
				...p,
				program: wanted,
			}))
		: findPlayers(env).filter(
				(p) => wanted === undefined || basename(p.program) === wanted,
			);
	const [first, other] = found;
	if (!first)
		throw new WattvoxError(
			"E_PLAYER",
			`${wanted ?? "pw-cat or aplay"} is not installed`,
		);
	const player = other && !pipewireRuns(env) ? other : first;
	const { system, program, args } = player;
	return { system, program, args: (rate) => args(rate, audioDevice) };
}

/** Whether PipeWire's socket is there: a service account has no session of its own, and so none. */
function pipewireRuns(env: NodeJS.ProcessEnv): boolean {
	const dirs = [env.PIPEWIRE_RUNTIME_DIR, env.XDG_RUNTIME_DIR, "/run/pipewire"];
	return dirs.some((dir) => dir && existsSync(join(dir, "pipewire-0")));
}
