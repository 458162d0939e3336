import { cpus } from "node:os";
import { join } from "node:path";
import { checkId, facts, WattvoxError, writeAtomic } from "@wattvox/core";
import { formatAttestation } from "../attestations.ts";
import { command } from "../command.ts";
import { checkVoice } from "../trusted-bundle.ts";

export const energyAttest = command({
	usage: "energy attest <bundle>",
	about: "Measure joules per second of speech here, and sign what was found",
	examples: [
		[
			"energy attest voice/ --trust keys/release.pub --key keys/fleet.key",
			"on a quiet device: 10 s of idling, 30 s of speech",
		],
	],
	positionals: {
		bundle: { type: "string", demandOption: true, describe: "Its folder" },
	},
	options: {
		key: {
			type: "string",
			demandOption: true,
			describe: "The device's or the fleet's private key",
		},
		trust: {
			type: "array",
			string: true,
			default: [],
			describe:
				"A root file, or public keys (or a folder of them), that must have signed the bundle",
		},
		class: {
			type: "string",
			describe:
				"Kind of device; by default the board's or the processor's name",
		},
		device: { type: "string", describe: "The device's id" },
		threads: { type: "number", default: 1, describe: "Of one operator" },
		seconds: {
			type: "number",
			default: 30,
			describe: "How long to speak, at least 30",
		},
		out: {
			type: "string",
			default: "attestations",
			describe: "Folder; the file is OUT/DIGEST/CLASS-KEY.json",
		},
		estimate: {
			type: "boolean",
			default: false,
			describe: "Also without a sensor; no gate or ranking will use it",
		},
	},
	async run(args, io) {
		const { bundle, seconds, threads } = args;
		if (!(seconds >= 30))
			throw new WattvoxError("E_USAGE", "--seconds is at least 30");
		if (args.class !== undefined) checkId(args.class, "device class");
		if (args.device !== undefined) checkId(args.device, "device id");
		const [bundles, energy] = await Promise.all([
			import("@wattvox/bundle"),
			import("@wattvox/energy"),
		]);
		const key = await bundles.loadPrivateKey(args.key);
		const { digest } = await bundles.inspectBundle(bundle);
		await checkVoice(bundle, args.trust, io);
		const { source, skipped } = await energy.openPowerSource({ env: io.env });
		try {
			if (!source.describe().measured && !args.estimate)
				throw new WattvoxError(
					"E_SENSOR",
					`no power sensor works here (${skipped.map((s) => `${s.sensor}: ${s.reason}`).join("; ")}); --estimate signs an estimate`,
				);
			const [{ createEngine }, { Voice }] = await Promise.all([
				import("@wattvox/runtime"),
				import("@wattvox/synth"),
			]);
			const voice = await Voice.load(bundle, {
				signal: io.signal,
				engine: (graph, options) =>
					createEngine(graph, { ...options, threads }),
			});
			const meter = new energy.Meter(source);
			const task = io.progress.task("speak the workload", 100);
			try {
				await meter.start(io.signal);
				const before = energy.hottest(energy.readBoard());
				const found = await energy.measureSpeech(
					async (text, signal) => {
						const utterance = voice.speak(text, { signal, pauseMs: 0 });
						let samples = 0;
						for await (const chunk of utterance) samples += chunk.length;
						return { audioSeconds: samples / utterance.sampleRate };
					},
					{
						meter,
						seconds,
						signal: io.signal,
						onProgress: (done) => task.update(Math.round(100 * done)),
					},
				);
				const board = energy.readBoard();
				const after = energy.hottest(board);
				const attestation = energy.makeAttestation(found, {
					bundle: digest,
					deviceClass:
						args.class ?? energy.deviceClassOf(board.model, cpus()[0]?.model),
					device: args.device ?? null,
					runtime: `onnxruntime cpu, ${threads} ${threads === 1 ? "thread" : "threads"}`,
					powerMode: board.powerMode,
					temperatureC:
						before === null || after === null ? null : { before, after },
				});
				const path = join(
					args.out,
					digest,
					`${attestation.deviceClass}-${key.id.slice(0, 8)}.json`,
				);
				await writeAtomic(path, bundles.seal("attestation", attestation, key));
				task.finish();
				io.result(
					{ path, attestation },
					`${facts([["wrote", path]])}\n\n${formatAttestation(attestation)}`,
				);
			} catch (thrown) {
				task.fail();
				throw thrown;
			} finally {
				await meter.stop();
				await voice.dispose();
			}
		} finally {
			await source.close();
		}
	},
});
