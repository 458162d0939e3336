import type { Command } from "../command.ts";
import { doctor } from "./doctor.ts";
import { fleetPower } from "./fleet-power.ts";
import { fleetServe } from "./fleet-serve.ts";
import { inspect } from "./inspect.ts";
import { keysNew } from "./keys-new.ts";
import { publish } from "./publish.ts";
import { say } from "./say.ts";

/** Every command, in the order in which `--help` lists them. */
export const commands: readonly Command[] = [
	say,
	inspect,
	publish,
	fleetServe,
	fleetPower,
	keysNew,
	doctor,
];

/** First words that several commands share. */
export const groups: Readonly<Record<string, string>> = {
	fleet: "The fleet's server and its power bill",
	keys: "Signing keys",
};
