import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { attempts, type Tried } from "../arm64/attempts.ts";
import { FleetHere } from "../arm64/fleet-here.ts";
import { buildMachine, buildRoot } from "./build.ts";
import { Container } from "./container.ts";
import { Machine } from "./machine.ts";
import { BoardTrial, GIVEN } from "./trial.ts";
import { baseBundle } from "./voice.ts";

const INSTALLER = fileURLToPath(
	new URL("../../jetson-install.sh", import.meta.url),
);

/** This machine's processor, as Debian names it. */
const THIS = process.arch === "arm64" ? "arm64" : "amd64";

/** What to try, and how. */
export interface TryBoardOptions {
	/** Debian's, that still has bullseye. */
	mirror: string;
	/** Where all is made. */
	dir: string;
	/** QEMU's name of a 64-bit ARM processor; without one, the system runs in namespaces of this machine. */
	cpu: string | undefined;
	/** Of `npm run pack:agent`, for the processor that it is tried on. */
	archive: string;
	/** The longest that one step may take. */
	ms: number;
	/** Is told what happens. */
	say(line: string): void;
}

/**
 * Makes a board, switches it on and tries the agent on it, step by step.
 * @throws WattvoxError E_FILE_MISSING when there is nothing to try with; the signal's reason
 */
export async function tryBoard(
	{ archive, mirror, dir, cpu, ms, say }: TryBoardOptions,
	signal: AbortSignal,
): Promise<Tried[]> {
	// what another run in this folder signed, this one does not trust
	for (const made of ["bundle", "store"])
		await rm(join(dir, made), { recursive: true, force: true });
	const { key, bundle, trust } = await baseBundle(dir);
	const agent = join(dir, GIVEN.archive);
	await copyFile(archive, agent);
	const of = {
		processor: cpu ? "arm64" : THIS,
		files: [agent, INSTALLER, trust],
		mirror,
		dir,
	};
	say("making a Debian of the mirror's packages");
	const root = await buildRoot(of, signal);
	const board = cpu
		? new Machine(await buildMachine(root, of, cpu, signal))
		: await Container.at(root, dir);
	const fleet = new FleetHere(dir, key);
	const { all, attempt } = attempts(
		ms,
		({ what, ok, found, seconds }) =>
			say(
				`${what}: ${ok ? "runs" : "FAILS"} (${seconds.toFixed(0)} s) ${found}`,
			),
		signal,
	);
	try {
		await fleet.start();
		await new BoardTrial(board, fleet, bundle, attempt).run();
		return all;
	} finally {
		await board.cut();
		await fleet.stop();
	}
}
