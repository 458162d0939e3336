import { text as readAll } from "node:stream/consumers";
import { facts, formatSeconds } from "@wattvox/core";
import { command } from "../command.ts";
import { checkVoice } from "../trusted-bundle.ts";

export const say = command({
	usage: "say <text>",
	about: "Speak a text into a wav file; needs no agent and no network",
	examples: [
		['say "The kettle is on." --voice voice/ -o kettle.wav', "one sentence"],
		["say - --voice voice/ -o book.wav", "what standard input says"],
	],
	positionals: {
		text: {
			type: "string",
			demandOption: true,
			describe: 'What to say; "-" reads standard input',
		},
	},
	options: {
		voice: {
			type: "string",
			demandOption: true,
			describe: "Folder of a voice bundle",
		},
		out: {
			type: "string",
			alias: "o",
			demandOption: true,
			describe: "The wav file",
		},
		speed: { type: "number", default: 1, describe: "0.25 to 4" },
		seed: {
			type: "number",
			default: 1,
			describe: "Of the noise: equal seeds give equal sound",
		},
		threads: { type: "number", default: 1, describe: "Of one operator" },
		trust: {
			type: "array",
			string: true,
			default: [],
			describe:
				"A root file, or public keys (or a folder of them), that must have signed the bundle",
		},
	},
	async run(args, io) {
		const { voice, out, speed, seed, threads, trust } = args;
		const text = args.text === "-" ? await readAll(process.stdin) : args.text;
		await checkVoice(voice, trust, io);
		const { sayToFile } = await import("@wattvox/synth");
		const task = io.progress.task("speak");
		try {
			const stats = await sayToFile(voice, text, out, {
				speed,
				seed,
				threads,
				signal: io.signal,
				onChunk: (_, { audioSeconds }) =>
					task.update(Math.round(audioSeconds), {
						spoken: formatSeconds(audioSeconds),
					}),
			});
			task.finish();
			io.result(
				{ out, ...stats },
				facts([
					["wrote", out],
					["sound", formatSeconds(stats.audioSeconds)],
					["computing", formatSeconds(stats.computeMs / 1000)],
					["real-time factor", stats.realTimeFactor?.toFixed(3) ?? "unknown"],
					[
						"first sound",
						stats.firstSoundMs === null
							? "unknown"
							: `${Math.round(stats.firstSoundMs)} ms`,
					],
					...stats.skipped.map((part): [string, string] => [
						"left out",
						JSON.stringify(part),
					]),
				]),
			);
		} catch (thrown) {
			task.fail();
			throw thrown;
		}
	},
});
