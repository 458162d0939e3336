import { readFile, stat } from "node:fs/promises";
import { facts, WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";

const DAY_MS = 24 * 3600_000;

export const keysRotate = command({
	usage: "keys rotate <root>",
	about: "Say which keys devices believe, and for what: a new root",
	examples: [
		[
			"keys rotate keys/root.json --sign keys/root.key --add root=keys/root.pub --add release=keys/release.pub --add fleet=keys/fleet.pub",
			"the first root; devices get it as --trust",
		],
		[
			"keys rotate keys/root.json --sign keys/root.key --remove release=keys/release.pub --add release=keys/new.pub",
			"the release key was stolen",
		],
		[
			"keys rotate keys/root.json --sign keys/root.key --sign keys/root2.key --add root=keys/root2.pub --threshold 2",
			"from now on two root keys must sign",
		],
	],
	positionals: {
		root: {
			type: "string",
			demandOption: true,
			describe: "The root file; is made when it is not there",
		},
	},
	options: {
		sign: {
			type: "array",
			string: true,
			demandOption: true,
			describe:
				"Private root key: enough of the old root's and of the new one's",
		},
		add: {
			type: "array",
			string: true,
			default: [],
			describe: "ROLE=FILE.pub; roles: root, release, fleet, builder",
		},
		remove: {
			type: "array",
			string: true,
			default: [],
			describe: "ROLE=FILE.pub, or ROLE=the first characters of a key's id",
		},
		threshold: {
			type: "number",
			describe: "How many root keys a root needs; by default as before, or 1",
		},
		days: {
			type: "number",
			default: 365,
			describe: "How long devices take updates under it; speech has no end",
		},
	},
	async run(args, io) {
		const [bundle, { writeAtomic }] = await Promise.all([
			import("@wattvox/bundle"),
			import("@wattvox/core"),
		]);
		const split = (text: string) => {
			const [role, ...rest] = text.split("=");
			const known = bundle.KEY_ROLES.find((r) => r === role);
			if (!known || rest.length === 0)
				throw new WattvoxError(
					"E_USAGE",
					`"${text}" is not ROLE=FILE with a role of ${bundle.KEY_ROLES.join(", ")}`,
				);
			return { role: known, value: rest.join("=") };
		};
		const add = await Promise.all(
			args.add.map(split).map(async ({ role, value }) => ({
				role,
				key: await bundle.loadPublicKey(value),
			})),
		);
		const remove = await Promise.all(
			args.remove.map(split).map(async ({ role, value }) => ({
				role,
				id: value.endsWith(".pub")
					? (await bundle.loadPublicKey(value)).id
					: value,
			})),
		);
		const keys = await Promise.all(args.sign.map(bundle.loadPrivateKey));
		const there = await stat(args.root).catch(() => undefined);
		const { bytes, root } = bundle.rotateRoot(
			there && (await readFile(args.root)),
			{
				add,
				remove,
				created: new Date(),
				expires: new Date(Date.now() + args.days * DAY_MS),
				...(args.threshold !== undefined && { threshold: args.threshold }),
			},
			keys,
		);
		await writeAtomic(args.root, bytes);
		const { version, expires, roles } = root;
		const list = (ids: readonly string[]) =>
			ids.map((id) => id.slice(0, 16)).join(", ") || "none";
		io.result(
			{ path: args.root, version, expires, roles },
			facts([
				["root", `${args.root}, version ${version}, until ${expires}`],
				[
					"root keys",
					`${list(roles.root.keys)} (${roles.root.threshold} must sign)`,
				],
				["release keys", list(roles.release)],
				["fleet keys", list(roles.fleet)],
				["builder keys", list(roles.builder)],
			]),
		);
	},
});
