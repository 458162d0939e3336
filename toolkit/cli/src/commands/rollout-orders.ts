import { command } from "../command.ts";
import { RUNNER_OPTIONS, rolloutsDir } from "../rollout-options.ts";
import { DATA_OPTIONS } from "./fleet-serve.ts";
import { runHere } from "./rollout-start.ts";

const ID = {
	type: "string",
	demandOption: true,
	describe: "The rollout's name",
} as const;

export const rolloutStatus = command({
	usage: "rollout status [id]",
	about: "How far rollouts are, what their gates said, and who is not there",
	examples: [["rollout status ada-2", "one; without a name all, newest first"]],
	positionals: { id: { type: "string", describe: "The rollout's name" } },
	options: { data: DATA_OPTIONS.data },
	async run({ id, data }, io) {
		const fleet = await import("@wattvox/fleet");
		const dir = rolloutsDir(data);
		if (id !== undefined) {
			const view = fleet.rolloutView(await fleet.loadRollout(dir, id));
			return io.result(view, fleet.formatRollout(view));
		}
		const views = (await fleet.listRollouts(dir)).map(fleet.rolloutView);
		io.result(
			views,
			views.map(fleet.rolloutLine).join("\n") || "there are no rollouts",
		);
	},
});

export const rolloutPause = command({
	usage: "rollout pause <id>",
	about: "Offer nobody anything until it is resumed",
	examples: [["rollout pause ada-2", "what was offered before still counts"]],
	positionals: { id: ID },
	options: { data: DATA_OPTIONS.data },
	async run({ id, data }, io) {
		const { orderRollout } = await import("@wattvox/fleet");
		await orderRollout(rolloutsDir(data), id, { do: "pause" });
		io.result({ id, order: "pause" }, `${id} pauses`);
	},
});

export const rolloutResume = command({
	usage: "rollout resume <id>",
	about:
		"Go on after a pause, a gate or a restart; runs it here when no other process does",
	examples: [
		["rollout resume ada-2 --key keys/fleet.key", "the gates judge anew"],
		["rollout resume ada-2 --force", "past the gate that holds it"],
	],
	positionals: { id: ID },
	options: {
		force: {
			type: "boolean",
			default: false,
			describe: "Pass over the gates of this wave; said in its record",
		},
		...RUNNER_OPTIONS,
	},
	service: true,
	async run(args, io) {
		const { orderRollout } = await import("@wattvox/fleet");
		const { id, force } = args;
		const dir = rolloutsDir(args.data);
		if (await orderRollout(dir, id, { do: "resume", force }))
			return io.result({ id, order: "resume" }, `${id} goes on`);
		await runHere(id, args, io);
	},
});

export const rolloutAbort = command({
	usage: "rollout abort <id>",
	about: "End it; --back tells its devices to return to the voice before",
	examples: [
		["rollout abort ada-2", "devices keep what they have"],
		["rollout abort ada-2 --back", "while `rollout start` runs"],
	],
	positionals: { id: ID },
	options: {
		back: {
			type: "boolean",
			default: false,
			describe: "To the digest given as --previous; needs the running process",
		},
		data: DATA_OPTIONS.data,
	},
	async run({ id, data, back }, io) {
		const { loadRollout, orderRollout, runnerOf } = await import(
			"@wattvox/fleet"
		);
		const { WattvoxError } = await import("@wattvox/core");
		const dir = rolloutsDir(data);
		const { spec } = await loadRollout(dir, id);
		if (back && spec.previous === null)
			throw new WattvoxError(
				"E_USAGE",
				`${id} was started without --previous, so it knows nothing to go back to: abort it without --back, then publish what its devices should speak`,
			);
		if (back && (await runnerOf(dir, id)) === undefined)
			throw new WattvoxError(
				"E_USAGE",
				`nobody runs ${id}: resume it first, so that devices can be told`,
			);
		await orderRollout(dir, id, { do: "abort", back });
		io.result({ id, order: "abort", back }, `${id} is aborted`);
	},
});
