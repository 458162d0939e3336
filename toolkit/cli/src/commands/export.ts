import { join } from "node:path";
import { facts } from "@wattvox/core";
import { booked } from "../booked.ts";
import { command } from "../command.ts";

export const exportCommand = command({
	usage: "export",
	about: "A run's voice as a signed bundle, checked against what was trained",
	examples: [
		[
			"export --run run/ --out voice/ --key keys/release.key",
			"after `distil`, or after `train --teacher`",
		],
	],
	positionals: {},
	options: {
		run: {
			type: "string",
			demandOption: true,
			describe: "Folder that `train` and `distil` wrote, or `train --teacher`",
		},
		out: {
			type: "string",
			demandOption: true,
			describe: "The bundle's folder",
		},
		key: {
			type: "string",
			demandOption: true,
			describe: "The release key: signs the bundle",
		},
		carbon: {
			type: "string",
			default: "unknown",
			describe:
				"Carbon intensity where it was trained: fixed:G (g/kWh), csv:FILE, uk, electricitymaps:ZONE, watttime:REGION",
		},
		days: {
			type: "number",
			default: 365,
			describe: "How long it may be offered as an update; it speaks for ever",
		},
	},
	async run(args, io) {
		const [{ loadPrivateKey }, energy, trainer] = await Promise.all([
			import("@wattvox/bundle"),
			import("@wattvox/energy"),
			import("@wattvox/cloud-trainer"),
		]);
		const key = await loadPrivateKey(args.key);
		const carbon = energy.openCarbonSource(args.carbon, { env: io.env });
		const run = await trainer.openRun(args.run);
		await booked(
			join(args.run, trainer.RUN.ledger),
			async ({ ledger }) => {
				const passport = energy.makePassport(ledger.summary(), {
					intensity: await energy.weightedIntensity(
						ledger.lines,
						carbon,
						io.signal,
						io.progress.note,
					),
					...(run.teacher !== undefined && {
						without: [`the teacher at ${run.teacher}`],
					}),
				});
				const task = io.progress.task("export");
				try {
					const made = await ledger.stage("export", () =>
						trainer.exportVoice(run, args.out, {
							key,
							passport,
							validDays: args.days,
							signal: io.signal,
						}),
					);
					task.finish();
					io.result(
						{
							bundle: args.out,
							digest: made.digest,
							check: made.check,
							adapterBytes: made.adapterBytes,
						},
						facts([
							["bundle", args.out],
							["digest", made.digest],
							["adapter", `${made.adapterBytes} bytes`],
							[
								"max difference",
								`${made.check.wave.toExponential(1)} of full scale, ${made.check.logDuration.toExponential(1)} nepers of duration`,
							],
						]),
					);
				} catch (thrown) {
					task.fail();
					throw thrown;
				}
			},
			{ job: `export ${run.name}` },
		);
	},
});
