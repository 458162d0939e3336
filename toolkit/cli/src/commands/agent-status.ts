import { command } from "../command.ts";

export const agentStatus = command({
	usage: "agent status",
	about: "What the agent on a data folder runs",
	examples: [["agent status --data agent/", "also when it does not run"]],
	positionals: {},
	options: {
		data: {
			type: "string",
			demandOption: true,
			describe: "The agent's folder",
		},
	},
	async run({ data }, io) {
		const { formatStatus, readStatus } = await import("@wattvox/device-agent");
		const status = await readStatus(data);
		io.result(status, formatStatus(status));
	},
});
