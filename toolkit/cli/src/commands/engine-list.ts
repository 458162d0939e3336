import { join } from "node:path";
import { table, WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";

/** What an engine is, for a row. */
interface Row {
	name: string;
	key: {
		precision: string;
		refit: boolean;
		tensorrt: string;
		device: string;
		computeCapability: string;
	};
	size: number;
	created: string;
	/** Copies with a voice's weights. */
	refitted?: readonly { size: number }[];
}

const row = (
	{ name, key, size, created, refitted = [] }: Row,
	...more: string[]
) => [
	name.slice(0, 12),
	key.precision,
	key.refit
		? `base${refitted.length > 0 ? `, ${refitted.length} refitted` : ""}`
		: "one voice",
	key.tensorrt,
	`${key.device} (${key.computeCapability})`,
	`${(refitted.reduce((sum, r) => sum + r.size, size) / 1e6).toFixed(1)} MB`,
	...more,
	created.slice(0, 16),
];

const grid = (rows: string[][], ...more: string[]) =>
	rows.length > 0
		? table(
				[
					...["engine", "precision", "for", "TensorRT", "device", "size"],
					...[...more, "since"],
				],
				rows,
				["left", "left", "left", "left", "left", "right"],
			)
		: "no engines";

export const engineList = command({
	usage: "engine list",
	about:
		"TensorRT engines on this device, and those that did not come to speak; or those in a store",
	examples: [
		["engine list --data /var/lib/wattvox", "the agent's folder"],
		["engine list --data agent/ --json", "each with all that it depends on"],
		["engine list --store store/", "what build stations brought"],
	],
	positionals: {},
	options: {
		data: {
			type: "string",
			describe: "The agent's folder for voices and state",
		},
		store: {
			type: "string",
			describe: "The folder of a store, in place of --data",
		},
	},
	async run({ data, store }, io) {
		if ((data === undefined) === (store === undefined))
			throw new WattvoxError("E_USAGE", "name --data or --store");
		if (store !== undefined) {
			const { FolderStore, peekEngineHead } = await import("@wattvox/bundle");
			const { engines: shelf } = new FolderStore(store);
			const found = await Promise.all(
				(await shelf.names()).map((name) => shelf.readHead(name)),
			);
			const engines = found.flatMap((head) =>
				head ? peekEngineHead(head) : [],
			);
			const rows = engines.map((e) =>
				row(e, e.deviceClass ?? "", e.signer.slice(0, 12)),
			);
			// their blocks are nobody's to read
			const plain = engines.map(({ blocks: _, ...rest }) => rest);
			return io.result({ engines: plain }, grid(rows, "class", "signed by"));
		}
		const { EngineCache } = await import("@wattvox/device-agent/engine");
		const cache = new EngineCache(join(data ?? "", "engines"));
		const failures = await cache.failures.list();
		const engines = await Promise.all(
			(await cache.list()).map(async (e) => ({
				...e,
				refitted: await cache.listRefitted(e),
			})),
		);
		const rows = engines.map((e) =>
			row(
				{ ...e, name: e.id },
				e.origin.kind === "built"
					? `built in ${e.origin.seconds.toFixed(0)} s`
					: `signed by ${e.origin.key.slice(0, 12)}`,
			),
		);
		const lines = [
			grid(rows, "origin"),
			...failures.map(
				({ engine, voice, code, message }) =>
					`${engine.slice(0, 12)} failed for voice ${voice.slice(0, 12)}: ${code}: ${message}`,
			),
		];
		io.result({ engines, failures }, lines.join("\n"));
	},
});
