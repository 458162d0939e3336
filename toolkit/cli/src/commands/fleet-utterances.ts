import type { UtteranceAnswer } from "@wattvox/fleet";
import { command } from "../command.ts";
import { DATA_OPTIONS } from "./fleet-serve.ts";

export const fleetUtterances = command({
	usage: "fleet utterances",
	about:
		"The newest utterances one by one, as devices told them; asks the server while it runs",
	examples: [
		["fleet utterances --device kitchen --since 1d", "of one device, a day"],
		["fleet utterances --limit 1000 --json", "for programs"],
	],
	positionals: {},
	options: {
		since: {
			type: "string",
			describe: "7d, 12h, today, 2026-05-01 (UTC); by default all that is kept",
		},
		fleet: { type: "string", describe: "Only this fleet" },
		device: { type: "string", describe: "Only this device" },
		limit: {
			type: "number",
			default: 50,
			describe: "At most so many, 10,000 at most",
		},
		...DATA_OPTIONS,
	},
	async run({ since, fleet, device, limit, database, data }, io) {
		const { askServer, formatUtterances, knownPowerStore, parseSince } =
			await import("@wattvox/fleet");
		const show = (answer: UtteranceAnswer) =>
			io.result(answer, formatUtterances(answer));
		const who = {
			...(fleet !== undefined && { fleet }),
			...(device !== undefined && { device }),
		};
		// the database of one machine is held by the server while that runs
		const answer =
			database === undefined
				? await askServer(
						data,
						"utterances",
						{ ...who, since, limit: String(limit) },
						io.signal,
					)
				: undefined;
		if (answer) return show(answer);
		const store = await knownPowerStore(database ?? data);
		await store.start(io.signal);
		try {
			const from =
				since === undefined ? {} : { since: parseSince(since, Date.now()) };
			show(
				await store.utterances({ ...who, ...from, limit, signal: io.signal }),
			);
		} finally {
			await store.stop();
		}
	},
});
