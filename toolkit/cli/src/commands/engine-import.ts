import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { asWattvoxError, facts, WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";

export const engineImport = command({
	usage: "engine import <file>",
	about: "Take an engine that another device of this class built and signed",
	examples: [
		[
			"engine import orin.engine --data /var/lib/wattvox --trust root.json --shim libwattvox_trt.so",
			"the agent tries it before it speaks by it",
		],
	],
	positionals: {
		file: {
			type: "string",
			demandOption: true,
			describe: "What `engine sign` wrote",
		},
	},
	options: {
		data: {
			type: "string",
			demandOption: true,
			describe: "The agent's folder for voices and state",
		},
		trust: {
			type: "array",
			string: true,
			demandOption: true,
			describe: "A root file, or public keys, that say whose engines count",
		},
		shim: {
			type: "string",
			demandOption: true,
			describe: "The shim: it says what class of device this is",
		},
	},
	async run(args, io) {
		const [engine, { workshop }, { loadTrust }] = await Promise.all([
			import("@wattvox/device-agent/engine"),
			import("@wattvox/runtime/tensorrt"),
			import("@wattvox/bundle"),
		]);
		const trust = await loadTrust(args.trust);
		const pack = engine.openPack(await read(args.file), trust);
		const here = await workshop(args.shim).facts({ signal: io.signal });
		engine.requireClass(pack.key, here);
		const cache = new engine.EngineCache(join(args.data, "engines"));
		const { id } = await cache.put(pack.key, pack.plan, {
			kind: "signed",
			key: pack.signer,
		});
		io.result(
			{ engine: id, signer: pack.signer, created: pack.created },
			facts([
				["engine", id],
				["signed by", pack.signer],
				["built", pack.created],
			]),
		);
	},
});

async function read(path: string): Promise<Uint8Array> {
	try {
		return await readFile(path);
	} catch (thrown) {
		const { code, message } = asWattvoxError(thrown);
		throw new WattvoxError(code, `cannot read ${path}: ${message}`, {
			cause: thrown,
		});
	}
}
