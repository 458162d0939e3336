import { facts } from "@wattvox/core";
import { command } from "../command.ts";

export const keysNew = command({
	usage: "keys new <name>",
	about: "Make a key pair that signs bundles and desired states",
	examples: [
		["keys new builder --out keys", "writes keys/builder.key and builder.pub"],
	],
	positionals: {
		name: {
			type: "string",
			demandOption: true,
			describe: "What the files are called",
		},
	},
	options: {
		out: { type: "string", default: "keys", describe: "Folder to write to" },
	},
	async run({ name, out }, io) {
		const { writeKeys } = await import("@wattvox/bundle");
		const { key, privatePath, publicPath } = await writeKeys(out, name);
		io.result(
			{ id: key.id, private: privatePath, public: publicPath },
			facts([
				["key", key.id],
				["private", `${privatePath} (signs: keep it to yourself)`],
				["public", `${publicPath} (verifies: give it to devices)`],
			]),
		);
	},
});
