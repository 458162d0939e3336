import { join } from "node:path";
import { command } from "../command.ts";
import { DATA_OPTIONS, PASSWORD_FILE } from "./fleet-serve.ts";

export const fleetPassword = command({
	usage: "fleet password",
	about: "Make a new password for the dashboard",
	examples: [
		["fleet password", "prints it once; restart `fleet serve` to use it"],
	],
	positionals: {},
	options: { data: DATA_OPTIONS.data },
	async run({ data }, io) {
		const { passwordFile } = await import("@wattvox/fleet");
		const { fresh = "" } = await passwordFile(join(data, PASSWORD_FILE), true);
		io.result({ password: fresh }, fresh);
	},
});
