import { command } from "../command.ts";

/** The store that is looked at: shared by the commands that do. */
export const STORE = {
	type: "string",
	default: "store",
	describe: "The store: a folder, or s3://bucket/prefix",
} as const;

export const storeList = command({
	usage: "store list",
	about: "The bundles that a store holds, and what each would free",
	examples: [
		["store list", "of the folder store/, the newest first"],
		["store list --store s3://voices/en --json", "of a bucket, for programs"],
	],
	positionals: {},
	options: { store: STORE },
	async run({ store }, io) {
		const [fleet, { table }] = await Promise.all([
			import("@wattvox/fleet"),
			import("@wattvox/core"),
		]);
		const found = await fleet.storedBundles(
			fleet.openStore(store, io.env),
			io.signal,
		);
		const rows = found.map(({ digest, manifest: m, bytes, ownBytes }) => ({
			...{ digest, voice: m.voice, language: m.language },
			...{ created: m.created, expires: m.expires, bytes, ownBytes },
		}));
		io.result(
			rows,
			rows.length === 0
				? `${store} holds no bundles`
				: table(
						["bundle", "voice", "created", "expires", "MB", "frees MB"],
						rows.map((r) => [
							...[r.digest.slice(0, 16), r.voice],
							...[r.created.slice(0, 10), r.expires.slice(0, 10)],
							...[megabytes(r.bytes), megabytes(r.ownBytes)],
						]),
						["left", "left", "left", "left", "right", "right"],
					),
		);
	},
});

/** Bytes as people read them. */
export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2);
