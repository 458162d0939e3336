import { BROKER_OPTIONS, brokerAccess } from "../broker-options.ts";
import { command } from "../command.ts";

export const doctor = command({
	usage: "doctor",
	about: "Whether this machine has what wattvox needs",
	examples: [
		["doctor", "Node, ONNX Runtime, power sensors, playback, clock, disk"],
		[
			"doctor --data agent/ --trust root.json --broker mqtts://broker.example --report doctor.json",
			"an agent's folder, keys and broker too; a file to attach to a report",
		],
	],
	positionals: {},
	options: {
		data: { type: "string", describe: "The agent's folder" },
		trust: {
			type: "array",
			string: true,
			describe: "A root file, or public keys, as the agent is given them",
		},
		device: { type: "string", describe: "The device's id" },
		shim: {
			type: "string",
			describe: "The TensorRT shim of this device: whether it opens",
		},
		report: { type: "string", describe: "Write what was found to this file" },
		...BROKER_OPTIONS,
		broker: {
			type: "string",
			describe: "The broker to look for: mqtt://, mqtts://, ws:// or wss://",
		},
	},
	async run(args, io) {
		const { diagnose, formatDiagnosis, writeDiagnosis } = await import(
			"@wattvox/device-agent"
		);
		const { data, trust, device, report, broker, shim } = args;
		const found = await diagnose({
			...(data !== undefined && { dataDir: data }),
			...(shim !== undefined && { shim }),
			...(trust && { trust }),
			...(device !== undefined && { device }),
			...(broker !== undefined && {
				broker: await brokerAccess({ ...args, broker }),
			}),
			signal: io.signal,
		});
		const { ok, findings, worst } = found;
		io.result({ ok, findings }, formatDiagnosis(found));
		if (report !== undefined) await writeDiagnosis(report, found);
		if (worst) throw worst;
	},
});
