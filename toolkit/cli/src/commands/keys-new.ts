import { basename, dirname, join } from "node:path";
import { facts } from "@wattvox/core";
import { command } from "../command.ts";

export const keysNew = command({
	usage: "keys new <name>",
	about: "Make a key pair that signs bundles and desired states",
	examples: [
		["keys new keys/release", "writes keys/release.key and keys/release.pub"],
	],
	positionals: {
		name: {
			type: "string",
			demandOption: true,
			describe: "What the files are called, with or without a folder",
		},
	},
	options: {
		out: {
			type: "string",
			describe: "Folder to write to; by default the name's, or else keys",
		},
	},
	async run({ name, out }, io) {
		const { writeKeys } = await import("@wattvox/bundle");
		const folder = dirname(name);
		const dir =
			out === undefined && folder === "." ? "keys" : join(out ?? "", folder);
		const { key, privatePath, publicPath } = await writeKeys(
			dir,
			basename(name),
		);
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
