import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Inspection } from "@wattvox/bundle";
import { facts, formatSeconds, table, WattvoxError } from "@wattvox/core";
import type { EnergyPassport } from "@wattvox/energy";
import { formatAttestations } from "../attestations.ts";
import { command } from "../command.ts";

export const inspect = command({
	usage: "inspect <bundle>",
	about: "What a bundle is, who signed it, what it cost",
	examples: [
		["inspect voice/ --trust keys/release.pub", "checks signature and files"],
		[
			"inspect voice/ --trust keys --attestations attestations",
			"with what devices have measured",
		],
	],
	positionals: {
		bundle: { type: "string", demandOption: true, describe: "Its folder" },
	},
	options: {
		trust: {
			type: "array",
			string: true,
			default: [],
			describe:
				"A root file, or public keys (or a folder of them), that may have signed it",
		},
		attestations: {
			type: "string",
			default: "attestations",
			describe: "Folder of what devices measured: `energy attest` writes it",
		},
	},
	async run({ bundle, trust, attestations }, io) {
		const [{ inspectBundle, loadTrust }, { findAttestations }] =
			await Promise.all([
				import("@wattvox/bundle"),
				import("@wattvox/fleet/attestations"),
			]);
		const keys = trust.length > 0 ? await loadTrust(trust) : undefined;
		const found = await inspectBundle(bundle, keys);
		const { found: measured, skipped } = await findAttestations(
			attestations,
			found.digest,
			keys,
		);
		for (const name of skipped)
			io.progress.note(`${name} is no attestation of this bundle: left out`);
		const passport = await passportOf(bundle, found);
		io.result(
			{ ...found, passport, attestations: measured },
			[
				describe(found),
				passport && formatPassport(passport),
				formatAttestations(measured),
			]
				.filter(Boolean)
				.join("\n\n"),
		);
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

/** The passport file, where the bundle has one that is what the manifest lists. */
async function passportOf(
	bundle: string,
	{ manifest, problems }: Inspection,
): Promise<EnergyPassport | null> {
	const { file } = manifest.energy;
	if (file === undefined || problems.length > 0) return null;
	const { parsePassport } = await import("@wattvox/energy");
	return parsePassport(await readFile(join(bundle, file), "utf8"));
}

function formatPassport(p: EnergyPassport): string {
	const label = p.measured ? "" : "est. ";
	const amount = (value: number | null, unit: string) =>
		value === null
			? "unknown"
			: `${label}${Number(value.toPrecision(3))} ${unit}`;
	const row = (
		name: string,
		cost: Omit<EnergyPassport["stages"][number], "path">,
	) => [
		name,
		formatSeconds(cost.seconds),
		amount(cost.wattHours, "Wh"),
		cost.plusMinusWh === null
			? ""
			: `± ${Number(cost.plusMinusWh.toPrecision(2))} Wh`,
		cost.aboveIdleWh === null ? "" : amount(cost.aboveIdleWh, "Wh"),
		amount(cost.gramsCO2e, "g"),
	];
	const how = p.sources.map((s) =>
		s.measured
			? `Measured by ${s.sensor}: ${s.scope}.`
			: `Estimated, ${s.assumption}.`,
	);
	const grams = p.intensity.gramsPerKWh;
	return [
		table(
			["training", "time", "energy", "95 %", "above idle", "CO2e"],
			[
				...p.stages
					.filter((s) => s.path.length === 1)
					.map((s) => row(s.path[0] ?? "", s)),
				row("all", p),
			],
			["left", "right", "right", "right", "right", "right"],
		),
		...how,
		...(p.without?.length
			? [`Not in these figures, since it is unknown: ${p.without.join(", ")}.`]
			: []),
		...(p.coverage < 0.995
			? [`The sensor covered ${Math.floor(100 * p.coverage)} % of the time.`]
			: []),
		grams === null
			? "The grid's carbon intensity is unknown."
			: `Carbon intensity ${Number(grams.toPrecision(3))} g/kWh (${p.intensity.source}).`,
	].join("\n");
}

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
