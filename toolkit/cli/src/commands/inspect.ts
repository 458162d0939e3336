import type { Inspection } from "@wattvox/bundle";
import { facts, table, WattvoxError } from "@wattvox/core";
import { command } from "../command.ts";

export const inspect = command({
	usage: "inspect <bundle>",
	about: "What a bundle is, who signed it, what it cost",
	examples: [
		["inspect voice/ --trust keys/builder.pub", "checks signature and files"],
	],
	positionals: {
		bundle: { type: "string", demandOption: true, describe: "Its folder" },
	},
	options: {
		trust: {
			type: "array",
			string: true,
			default: [],
			describe: "Public key, or a folder of them, that may have signed it",
		},
	},
	async run({ bundle, trust }, io) {
		const { inspectBundle, loadTrust } = await import("@wattvox/bundle");
		const keys = trust.length > 0 ? await loadTrust(trust) : undefined;
		const found = await inspectBundle(bundle, keys);
		io.result(found, describe(found));
		if (found.signature === "bad")
			throw new WattvoxError(
				"E_SIGNATURE",
				`${bundle} is not what key ${found.signer.slice(0, 16)} signed`,
			);
		if (found.problems.length > 0)
			throw new WattvoxError(
				"E_TAMPERED",
				`${bundle}: ${found.problems.join(", ")}`,
			);
	},
});

const SIGNATURE = {
	trusted: "by a key that you trust",
	unknown: "by a key that is not among those given with --trust",
	bad: "BAD: the manifest was changed after it was signed",
} as const;

function describe(found: Inspection): string {
	const { manifest: m } = found;
	const { trainWh, gCO2e, measured } = m.energy;
	const label = measured ? "measured" : "estimated";
	const amount = (value: number | null, unit: string) =>
		value === null
			? "unknown"
			: `${Number(value.toPrecision(3))} ${unit} (${label})`;
	const kinds = facts([
		["voice", `${m.voice} (${m.language}, ${m.sampleRate} Hz)`],
		["base", m.base.name],
		["digest", found.digest],
		["signed", SIGNATURE[found.signature]],
		["signer", found.signer],
		["made", m.created],
		["updates until", `${m.expires}${found.expired ? " (expired)" : ""}`],
		["training energy", amount(trainWh, "Wh")],
		["training CO2e", amount(gCO2e, "g")],
		["consent", m.consent.statement],
		["size", `${found.bytes} bytes`],
		["files", found.problems.length ? found.problems.join(", ") : "intact"],
	]);
	const files = table(
		["file", "role", "bytes", "sha256"],
		m.files.map((f) => [
			f.name,
			f.role,
			String(f.size),
			`${f.sha256.slice(0, 16)}…`,
		]),
		["left", "left", "right"],
	);
	return `${kinds}\n\n${files}`;
}
