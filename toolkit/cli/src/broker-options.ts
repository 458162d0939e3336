import { WattvoxError } from "@wattvox/core";
import type { InferredOptionTypes } from "yargs";
import type { OptionTable } from "./command.ts";

/** How to reach the broker: shared by every command that speaks MQTT. */
export const BROKER_OPTIONS = {
	broker: {
		type: "string",
		default: "mqtt://127.0.0.1:1883",
		describe: "The broker: mqtt://, mqtts://, ws:// or wss://",
	},
	username: { type: "string", describe: "Of the broker's account" },
	password: {
		type: "string",
		describe: "Of the broker's account; WATTVOX_PASSWORD hides it from ps",
	},
	ca: {
		type: "string",
		describe: "Certificate authority of the broker (PEM file)",
	},
	"tls-cert": {
		type: "string",
		describe: "Own certificate for the broker (PEM file), with --tls-key",
	},
	"tls-key": { type: "string", describe: "Its private key (PEM file)" },
} as const satisfies OptionTable;

/** What the options mean to a link. */
export async function brokerAccess(
	args: InferredOptionTypes<typeof BROKER_OPTIONS>,
): Promise<{
	url: string;
	username?: string;
	password?: string;
	tls?: { ca?: string; cert?: string; key?: string };
}> {
	const { broker, username, password, ca } = args;
	const [cert, key] = [args["tls-cert"], args["tls-key"]];
	if ((cert === undefined) !== (key === undefined))
		throw new WattvoxError("E_USAGE", "--tls-cert and --tls-key go together");
	return {
		url: broker,
		...(username !== undefined && { username }),
		...(password !== undefined && { password }),
		...((ca ?? cert) !== undefined && {
			tls: {
				...(ca !== undefined && { ca: await readText(ca) }),
				...(cert !== undefined && { cert: await readText(cert) }),
				...(key !== undefined && { key: await readText(key) }),
			},
		}),
	};
}

async function readText(path: string): Promise<string> {
	const { readFile } = await import("node:fs/promises");
	return readFile(path, "utf8");
}
