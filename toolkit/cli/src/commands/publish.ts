import { readFile } from "node:fs/promises";
import { BROKER_OPTIONS, brokerAccess } from "../broker-options.ts";
import { command } from "../command.ts";

export const publish = command({
	usage: "publish <bundle>",
	about: "Put a bundle into the store and tell devices to speak with it",
	examples: [
		[
			"publish voice/ --store store/ --key keys/fleet.key --fleet home --device kitchen",
			"one device",
		],
		[
			"publish voice/ --root keys/root.json --key keys/fleet.key --fleet home --device kitchen",
			"after `keys rotate`: the device also learns the new keys",
		],
	],
	positionals: {
		bundle: { type: "string", demandOption: true, describe: "Its folder" },
	},
	options: {
		store: {
			type: "string",
			default: "store",
			describe:
				"The store that `fleet serve` serves: a folder, or s3://bucket/prefix",
		},
		key: {
			type: "string",
			demandOption: true,
			describe: "The fleet's private key: signs what devices are told",
		},
		fleet: { type: "string", demandOption: true, describe: "The fleet's id" },
		device: {
			type: "array",
			string: true,
			demandOption: true,
			describe: "A device's id; give it again for more",
		},
		trust: {
			type: "array",
			string: true,
			default: [],
			describe:
				"Public key, or a folder of them, that may have signed the bundle; by default --key's own",
		},
		root: {
			type: "string",
			describe:
				"Root file that says which key signs what; devices are told of its newest root",
		},
		"valid-days": {
			type: "number",
			default: 90,
			describe: "How long the update stands",
		},
		revision: {
			type: "number",
			describe: "Only ever rises; by default the time",
		},
		...BROKER_OPTIONS,
	},
	async run(args, io) {
		const [{ loadPrivateKey, loadTrust }, fleet] = await Promise.all([
			import("@wattvox/bundle"),
			import("@wattvox/fleet"),
		]);
		const key = await loadPrivateKey(args.key);
		const task = io.progress.task("publish");
		try {
			const done = await fleet.publish(
				args.bundle,
				fleet.openStore(args.store, io.env),
				{
					fleet: args.fleet,
					devices: args.device,
					key,
					broker: await brokerAccess(args),
					signal: io.signal,
					validMs: args["valid-days"] * 24 * 3600_000,
					...(args.root !== undefined && { roots: await readFile(args.root) }),
					...(args.trust.length > 0 && { trust: await loadTrust(args.trust) }),
					...(args.revision !== undefined && { revision: args.revision }),
				},
			);
			task.finish();
			io.result(
				done,
				`published ${done.digest} as revision ${done.revision} to ${done.devices.join(", ")}`,
			);
		} catch (thrown) {
			task.fail();
			throw thrown;
		}
	},
});
