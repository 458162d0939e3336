import { parseArgs } from "node:util";
import { pretrain, STAGES, type StageName } from "@wattvox/cloud-trainer";
import {
	asWattvoxError,
	plainProgress,
	WattvoxError,
	writeAtomic,
} from "@wattvox/core";
import { formatLedger, Ledger, Meter, openPowerSource } from "@wattvox/energy";

/**
 * Trains the base that ships, or one of your own: `npm run pretrain -- --corpus DIR --out DIR`.
 * The corpus of the shipped base is made by `node scripts/dist/corpus.js --out DIR --hours 6 --seed 1`.
 */
const { values } = parseArgs({
	options: {
		corpus: { type: "string" },
		out: { type: "string" },
		name: { type: "string", default: "en" },
		language: { type: "string", default: "en" },
		stage: { type: "string", multiple: true },
		steps: { type: "string" },
		scale: { type: "string", default: "1" },
		"align-with": { type: "string" },
		threads: { type: "string", default: "2" },
		seed: { type: "string", default: "1" },
	},
});

async function main(): Promise<void> {
	const { corpus, out } = values;
	if (!corpus || !out)
		throw new WattvoxError("E_USAGE", "--corpus DIR and --out DIR are needed");
	const stages = values.stage as StageName[] | undefined;
	for (const s of stages ?? [])
		if (!STAGES.includes(s))
			throw new WattvoxError("E_USAGE", `no stage ${s}: ${STAGES.join(", ")}`);
	const abort = new AbortController();
	process.once("SIGINT", () => abort.abort());
	process.once("SIGTERM", () => abort.abort());
	const { source } = await openPowerSource();
	const meter = new Meter(source);
	await meter.start(abort.signal);
	const ledger = new Ledger({ meter, path: `${out}/work/energy.jsonl` });
	await ledger.start();
	try {
		await pretrain({
			corpus,
			out,
			name: values.name,
			language: values.language,
			...(stages ? { stages } : {}),
			...(values.steps
				? {
						steps: Object.fromEntries(
							STAGES.map((s) => [s, Number(values.steps)]),
						),
					}
				: {}),
			...(values["align-with"] ? { alignWith: values["align-with"] } : {}),
			scale: Number(values.scale),
			threads: Number(values.threads),
			seed: Number(values.seed),
			progress: plainProgress((line) => process.stderr.write(`${line}\n`), {
				everyMs: 20_000,
			}),
			book: (stage, work) => ledger.stage(stage, work),
			signal: abort.signal,
		});
	} finally {
		process.stdout.write(`${formatLedger(ledger.summary())}\n`);
		await writeAtomic(
			`${out}/work/energy.json`,
			JSON.stringify(ledger.summary()),
		);
		await ledger.stop();
		await meter.stop();
		await source.close();
	}
}

await main().catch((thrown) => {
	const error = asWattvoxError(thrown);
	process.stderr.write(
		`error ${error.code}: ${error.message}\n${error.help}\n`,
	);
	process.exitCode = error.exit;
});
