import { randomBytes } from "node:crypto";
import { BROKER_OPTIONS, brokerAccess } from "../broker-options.ts";
import { command } from "../command.ts";
import { rolloutsDir } from "../rollout-options.ts";
import { DATA_OPTIONS } from "./fleet-serve.ts";
import { megabytes, STORE } from "./store-list.ts";

export const storeRemove = command({
	usage: "store remove <bundle>",
	about:
		"Take a bundle out of a store, with the files that no other one lists; refused while devices or rollouts name it",
	examples: [
		["store remove 3f2a90c4 --dry-run", "what would go, and who needs it"],
		[
			"store remove 3f2a90c4 --store s3://voices/en --broker mqtts://broker.example --username collector",
			"from a bucket; `collector` may read what devices are told",
		],
		["store remove 3f2a90c4 --force", "whoever needs it; asks no broker"],
	],
	positionals: {
		bundle: {
			type: "string",
			demandOption: true,
			describe: "Its digest, or 8 digits and more of that",
		},
	},
	options: {
		store: STORE,
		data: DATA_OPTIONS.data,
		"dry-run": {
			type: "boolean",
			default: false,
			describe: "Say what would go, and remove nothing",
		},
		force: {
			type: "boolean",
			default: false,
			describe: "Whoever needs it: devices that still pull it get no further",
		},
		...BROKER_OPTIONS,
	},
	async run(args, io) {
		const [fleet, { WattvoxError }, { Link }] = await Promise.all([
			import("@wattvox/fleet"),
			import("@wattvox/core"),
			import("@wattvox/link"),
		]);
		const { force, "dry-run": dryRun } = args;
		const store = fleet.openStore(args.store, io.env);
		const removal = await fleet.planRemoval(store, [args.bundle], io.signal);
		const digests = removal.bundles.map((b) => b.digest);
		const asked = force ? undefined : await ask();
		const uses = (asked?.uses ?? []).filter((u) => digests.includes(u.bundle));
		if (!dryRun && uses.length > 0)
			throw new WattvoxError(
				"E_BUSY",
				`still needed: ${summary(uses)}; publish something else first, or --force`,
			);
		if (!dryRun) await fleet.removeBundles(store, removal, io.signal);
		const { bytes } = removal;
		const lines = removal.bundles.map(
			(b) => `${b.digest.slice(0, 16)}  ${b.manifest.voice}`,
		);
		io.result(
			{
				...{ removed: !dryRun, bundles: digests, bytes },
				...{ files: removal.blobs.length, uses: asked ? uses : null },
				devices: asked?.devices ?? null,
			},
			[
				...lines,
				`${dryRun ? "would free" : "freed"} ${megabytes(bytes)} MB in ${removal.blobs.length} files that no other bundle lists`,
				asked
					? `${asked.devices} devices known to the broker; needed by: ${summary(uses) || "none of them, no rollout"}`
					: "nobody was asked (--force)",
			].join("\n"),
		);

		async function ask() {
			const link = new Link({
				...(await brokerAccess(args)),
				clientId: `store-remove-${randomBytes(8).toString("hex")}`,
			});
			await link.start(io.signal);
			try {
				return await fleet.bundleUses(link, rolloutsDir(args.data), io.signal);
			} finally {
				await link.stop();
			}
		}
	},
});

/** Who needs it, the first few by name. */
function summary(uses: readonly { by: string }[]): string {
	const names = uses.map((u) => u.by);
	const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
	return names.slice(0, 5).join(", ") + more;
}
