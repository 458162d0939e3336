import { join } from "node:path";
import { table } from "@wattvox/core";
import { command } from "../command.ts";

export const engineList = command({
	usage: "engine list",
	about:
		"TensorRT engines on this device, and those that did not come to speak",
	examples: [
		["engine list --data /var/lib/wattvox", "the agent's folder"],
		["engine list --data agent/ --json", "each with all that it depends on"],
	],
	positionals: {},
	options: {
		data: {
			type: "string",
			demandOption: true,
			describe: "The agent's folder for voices and state",
		},
	},
	async run(args, io) {
		const { EngineCache } = await import("@wattvox/device-agent/engine");
		const cache = new EngineCache(join(args.data, "engines"));
		const [engines, failures] = await Promise.all([
			cache.list(),
			cache.failures(),
		]);
		const rows = engines.map(({ id, key, size, origin, created }) => [
			id.slice(0, 12),
			key.precision,
			key.refit ? "base" : "one voice",
			key.tensorrt,
			`${key.device} (${key.computeCapability})`,
			`${(size / 1e6).toFixed(1)} MB`,
			origin.kind === "built"
				? `built in ${origin.seconds.toFixed(0)} s`
				: `signed by ${origin.key.slice(0, 12)}`,
			created.slice(0, 16),
		]);
		const lines = [
			rows.length > 0
				? table(
						[
							...["engine", "precision", "for", "TensorRT", "device"],
							...["size", "origin", "since"],
						],
						rows,
						["left", "left", "left", "left", "left", "right"],
					)
				: "no engines",
			...failures.map(
				({ engine, voice, code, message }) =>
					`${engine.slice(0, 12)} failed for voice ${voice.slice(0, 12)}: ${code}: ${message}`,
			),
		];
		io.result({ engines, failures }, lines.join("\n"));
	},
});
