import { command } from "../command.ts";

export const keysAcl = command({
	usage: "keys acl",
	about: "Write an access list for Mosquitto: each device to its own topics",
	examples: [
		[
			"keys acl --fleet home > acl",
			"every user is a device under its own name",
		],
		[
			"keys acl --fleet home --device kitchen --device hall --out acl",
			"these devices and no others",
		],
		[
			"keys acl --fleet home --station bench --out acl",
			"bench builds engines for its class and may bring them to the store",
		],
	],
	positionals: {},
	options: {
		fleet: { type: "string", demandOption: true, describe: "The fleet's id" },
		device: {
			type: "array",
			string: true,
			default: [],
			describe: "A device's id; give it again for more",
		},
		station: {
			type: "array",
			string: true,
			default: [],
			describe:
				"A device that builds engines and may bring them to the store; give it again for more",
		},
		out: { type: "string", describe: "File; by default standard output" },
	},
	async run({ fleet, device, station, out }, io) {
		const [{ mosquittoAcl }, { writeAtomic }] = await Promise.all([
			import("@wattvox/fleet"),
			import("@wattvox/core"),
		]);
		const acl = mosquittoAcl(fleet, device, station);
		if (out === undefined) return io.result({ acl }, acl.trimEnd());
		await writeAtomic(out, acl);
		io.result(
			{ acl, path: out },
			`wrote ${out}: name it in mosquitto.conf as acl_file`,
		);
	},
});
