import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { facts, WattvoxError, writeAtomic } from "@wattvox/core";
import { command } from "../command.ts";

export const engineSign = command({
	usage: "engine sign <engine>",
	about: "An engine as a signed file for other devices of the same class",
	examples: [
		[
			"engine sign 3f2a90c41b77 --data /var/lib/wattvox --key keys/builder.key --out orin.engine",
			"on the device that built it; the name is that of `engine list`",
		],
	],
	positionals: {
		engine: {
			type: "string",
			demandOption: true,
			describe: "Its name, or how the name begins",
		},
	},
	options: {
		data: {
			type: "string",
			demandOption: true,
			describe: "The agent's folder for voices and state",
		},
		key: {
			type: "string",
			demandOption: true,
			describe: "A private key with the role of a builder",
		},
		class: {
			type: "string",
			describe: "The device class that it was built on, signed with it",
		},
		out: { type: "string", demandOption: true, describe: "The file" },
	},
	async run(args, io) {
		const [{ EngineCache, packEngine }, { loadPrivateKey }] = await Promise.all(
			[import("@wattvox/device-agent/engine"), import("@wattvox/bundle")],
		);
		const key = await loadPrivateKey(args.key);
		const cache = new EngineCache(join(args.data, "engines"));
		const found = (await cache.list()).filter((e) =>
			e.id.startsWith(args.engine),
		);
		const [engine] = found;
		if (!engine || found.length > 1)
			throw new WattvoxError(
				"E_USAGE",
				`${found.length} engines here begin with ${args.engine}`,
			);
		// What others built is theirs to vouch for.
		if (engine.origin.kind !== "built")
			throw new WattvoxError(
				"E_USAGE",
				`engine ${engine.id.slice(0, 12)} was not built on this device`,
			);
		const held = await cache.find(engine.key);
		if (!held)
			throw new WattvoxError(
				"E_TAMPERED",
				`engine ${engine.id.slice(0, 12)} is not what was built; it is removed`,
			);
		await writeAtomic(
			args.out,
			packEngine(engine.key, await readFile(held.path), key, {
				deviceClass: args.class,
			}),
		);
		io.result(
			{ out: args.out, engine: engine.id, key: key.id },
			facts([
				["wrote", args.out],
				["engine", engine.id],
				["signed by", key.id],
			]),
		);
	},
});
