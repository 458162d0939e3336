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
} as const satisfies OptionTable;

/** What the options mean to a link. */
export async function brokerAccess(
	args: InferredOptionTypes<typeof BROKER_OPTIONS>,
): Promise<{
	url: string;
	username?: string;
	password?: string;
	tls?: { ca: string };
}> {
	const { broker, username, password, ca } = args;
	return {
		url: broker,
		...(username !== undefined && { username }),
		...(password !== undefined && { password }),
		...(ca !== undefined && { tls: { ca: await readText(ca) } }),
	};
}

async function readText(path: string): Promise<string> {
	const { readFile } = await import("node:fs/promises");
	return readFile(path, "utf8");
}
