import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { loadPrivateKey, loadTrust, type PrivateKey } from "@wattvox/bundle";
import {
	asWattvoxError,
	catchInterrupts,
	createLog,
	logLevel,
	WattvoxError,
} from "@wattvox/core";
import { Agent } from "./agent.ts";
import { diagnose, formatDiagnosis, writeDiagnosis } from "./doctor.ts";
import type { EngineSettings } from "./engine/engines.ts";
import { engineSettings } from "./engine-flags.ts";
import { parseLimits } from "./limits.ts";
import { GOOD_MOST } from "./pointer.ts";
import { formatStatus, readStatus } from "./status.ts";

const HELP = `wattvox-agent: the device's side of wattvox

  wattvox-agent run --broker URL --fleet ID --device ID --data DIR --trust FILE...
      pulls the voice that the fleet wants, speaks it on 127.0.0.1, reports power
      --broker URL     mqtt://, mqtts://, ws:// or wss://
      --trust FILE     a root file, or public keys (.pub) or a folder of them; may be repeated
      --port N         of the speech API (default 8420)
      --threads N      inside one operator (default 1)
      --limit NAME=N   of the golden sentences: mel-distance, length-difference,
                       real-time-factor, first-sound-ms, underruns; of what the voice draws
                       where there is a sensor: joules-ratio, joules-per-second; may be repeated
      --player P       that plays /v1/audio/play: pw-cat, aplay, or a path to one
                       (default: pw-cat where PipeWire runs, else aplay)
      --audio-device D PipeWire's target or ALSA's device (default: the system's)
      --daily-mb N     of bundles that may come in a day, UTC (default: no limit)
      --keep-voices N  last good voices kept on disk beside the active one, each to be asked for
                       by "voice" in a request, 1 to 9 (default 3)
      --loaded-voices N  in memory at a time, the active one among them (default 3; 1: no other)
      --voices-mb N    memory of those beside the active one, by estimate (default 160)
      --shim FILE      the TensorRT shim, compiled on this device: voices speak by TensorRT
                       where that holds (default: ONNX Runtime alone)
      --precision P    of TensorRT's engines: fp32 (default), fp16 or bf16
      --engine-memory-mb N  private memory of each process that builds, refits or tries an
                       engine (default 2048); what it may take of the GPU's is not in it
      --builder-key F  this device builds for its class: it signs its engines with this key
                       and brings them to the store, where its siblings find them
      --pull-engines   build none: take only the engines that the class's station signed, and
                       speak on ONNX Runtime until they are in the store
      --wait-engines N wait so many minutes for such an engine before it builds its own
                       (default 0)
      --username NAME  for the broker; the password comes from WATTVOX_BROKER_PASSWORD
      --ca FILE        certificate authority of the broker, PEM (default: those of Node)
      --tls-cert FILE  own certificate for the broker, PEM, with --tls-key FILE
      --class ID       what kind of device it is (default: what its board says)
      --host-root DIR  in a container: where the host's / is mounted, for its power sensors
  wattvox-agent status --data DIR [--json]
      what the agent on this data folder runs
  wattvox-agent doctor [--data DIR] [--trust FILE]... [--broker URL] [--ca FILE]
                       [--shim FILE] [--report FILE] [--json]
      whether this board has what an agent needs, with --shim TensorRT too; --report writes it
      down, to attach to an issue
  wattvox-agent shim --out FILE [--include DIR]... [--lib DIR]...
      compiles the TensorRT shim against this device's own TensorRT, for --shim: wants c++ and
      JetPack's headers (packages g++, libnvinfer-dev, libnvonnxparsers-dev, cuda-cudart-dev-*)
      --include DIR    with headers, before the usual folders
      --lib DIR        with libraries, before the usual folders

  wattvox-agent run --broker mqtts://broker.example --fleet home --device bench --data agent/ \\
      --trust root.json --shim libwattvox_trt.so --builder-key builder.key
  curl -s http://127.0.0.1:8420/v1/audio/speech -H 'content-type: application/json' \\
      -d '{"input": "Good morning."}' > good-morning.wav
  curl -s http://127.0.0.1:8420/v1/audio/play -H 'content-type: application/json' \\
      -d '{"input": "Good morning."}'
  curl -s http://127.0.0.1:8420/v1/voices
`;

const OPTIONS = {
	broker: { type: "string" },
	fleet: { type: "string" },
	device: { type: "string" },
	data: { type: "string" },
	trust: { type: "string", multiple: true },
	port: { type: "string" },
	threads: { type: "string" },
	limit: { type: "string", multiple: true },
	player: { type: "string" },
	"audio-device": { type: "string" },
	"daily-mb": { type: "string" },
	"keep-voices": { type: "string" },
	"loaded-voices": { type: "string" },
	"voices-mb": { type: "string" },
	shim: { type: "string" },
	precision: { type: "string" },
	"engine-memory-mb": { type: "string" },
	"builder-key": { type: "string" },
	"pull-engines": { type: "boolean" },
	"wait-engines": { type: "string" },
	username: { type: "string" },
	ca: { type: "string" },
	"tls-cert": { type: "string" },
	"tls-key": { type: "string" },
	class: { type: "string" },
	"host-root": { type: "string" },
	report: { type: "string" },
	out: { type: "string" },
	include: { type: "string", multiple: true },
	lib: { type: "string", multiple: true },
	json: { type: "boolean" },
	help: { type: "boolean", short: "h" },
} as const;

type Values = ReturnType<
	typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>
>["values"];

async function main(argv: string[]): Promise<void> {
	const { values, positionals } = parse(argv);
	const [command, ...rest] = positionals;
	if (values.help || (!command && argv.length === 0)) {
		process.stdout.write(HELP);
		return;
	}
	if (rest.length > 0) throw usage(`what is "${rest[0]}"?`);
	if (command === "run") return run(values);
	if (command === "status") return showStatus(values);
	if (command === "doctor") return doctor(values);
	if (command === "shim") return shim(values);
	throw usage(`there is no command "${command ?? ""}"`);
}

function parse(argv: string[]) {
	try {
		return parseArgs({ args: argv, options: OPTIONS, allowPositionals: true });
	} catch (thrown) {
		throw usage(asWattvoxError(thrown).message);
	}
}

async function run(values: Values): Promise<void> {
	const port = number(values.port, "port", 0, 65_535);
	const threads = number(values.threads, "threads", 1, 256);
	const daily = number(values["daily-mb"], "daily-mb", 1, 1_000_000);
	const goodKept = number(values["keep-voices"], "keep-voices", 1, GOOD_MOST);
	const maxLoaded = number(values["loaded-voices"], "loaded-voices", 1, 64);
	const aside = number(values["voices-mb"], "voices-mb", 1, 1_000_000);
	const { class: deviceClass, "host-root": hostRoot } = values;
	const engine = engineOf(values);
	const agent = new Agent({
		broker: await account(needed(values.broker, "broker"), values),
		fleet: needed(values.fleet, "fleet"),
		device: needed(values.device, "device"),
		dataDir: needed(values.data, "data"),
		trust: await loadTrust(needed(values.trust, "trust")),
		log: createLog("agent", { level: logLevel(process.env, "info") }),
		...(port !== undefined && { port }),
		...(threads !== undefined && { threads }),
		...engine,
		...(await builderOf(values)),
		limits: parseLimits(values.limit ?? []),
		playback: { player: values.player, audioDevice: values["audio-device"] },
		...(daily !== undefined && { dailyBytes: daily * 1_000_000 }),
		...(goodKept !== undefined && { goodKept }),
		...(maxLoaded !== undefined && { maxLoaded }),
		...(aside !== undefined && { asideBytes: aside * 1_000_000 }),
		...(deviceClass !== undefined && { deviceClass }),
		...(hostRoot !== undefined && { hostRoot }),
	});
	const interrupts = catchInterrupts();
	try {
		await agent.start(interrupts.signal);
		process.stdout.write(`speaking on ${agent.url}\n`);
		if (!interrupts.signal.aborted)
			await new Promise<void>((resolve) =>
				interrupts.signal.addEventListener("abort", () => resolve(), {
					once: true,
				}),
			);
	} finally {
		await agent.stop();
		interrupts.stop();
	}
}

/** The broker, and how to get in. */
async function account(url: string, values: Values) {
	const { username, ca, "tls-cert": cert, "tls-key": key } = values;
	const password = process.env.WATTVOX_BROKER_PASSWORD;
	if ((cert === undefined) !== (key === undefined))
		throw usage("--tls-cert and --tls-key go together");
	const text = (path: string) => readFile(path, "utf8");
	return {
		url,
		...(username !== undefined && { username }),
		...(password !== undefined && { password }),
		...((ca ?? cert) !== undefined && {
			tls: {
				...(ca !== undefined && { ca: await text(ca) }),
				...(cert !== undefined && { cert: await text(cert) }),
				...(key !== undefined && { key: await text(key) }),
			},
		}),
	};
}

async function doctor(values: Values): Promise<void> {
	const { data, trust, broker, device, report } = values;
	const interrupts = catchInterrupts();
	try {
		const found = await diagnose({
			...(data !== undefined && { dataDir: data }),
			...(values.shim !== undefined && { shim: values.shim }),
			...(trust && { trust }),
			...(broker !== undefined && { broker: await account(broker, values) }),
			...(device !== undefined && { device }),
			signal: interrupts.signal,
		});
		const { ok, findings, worst } = found;
		process.stdout.write(
			values.json
				? `${JSON.stringify({ ok, findings })}\n`
				: `${formatDiagnosis(found)}\n`,
		);
		if (report !== undefined) await writeDiagnosis(report, found);
		if (worst) throw worst;
	} finally {
		interrupts.stop();
	}
}

async function shim({ out, include, lib }: Values): Promise<void> {
	const interrupts = catchInterrupts();
	try {
		const { signal } = interrupts;
		const path = needed(out, "out");
		// a running agent need not hold it
		const { makeShim } = await import("./shim-command.ts");
		const said = await makeShim({ out: path, include, lib, signal });
		process.stdout.write(`${said.join("\n")}\n`);
	} finally {
		interrupts.stop();
	}
}

function engineOf(values: Values): { engine?: EngineSettings } {
	const numeric = (text: string | undefined) =>
		text === undefined ? undefined : Number(text);
	const engine = engineSettings({
		...values,
		"wait-engines": numeric(values["wait-engines"]),
		"engine-memory-mb": numeric(values["engine-memory-mb"]),
	});
	return engine ? { engine } : {};
}

async function builderOf(values: Values): Promise<{ builder?: PrivateKey }> {
	const { "builder-key": path } = values;
	return path === undefined ? {} : { builder: await loadPrivateKey(path) };
}

async function showStatus(values: Values): Promise<void> {
	const status = await readStatus(needed(values.data, "data"));
	process.stdout.write(
		values.json ? `${JSON.stringify(status)}\n` : `${formatStatus(status)}\n`,
	);
}

function needed<T>(value: T | undefined, name: string): T {
	if (value === undefined) throw usage(`--${name} is missing`);
	return value;
}

function number(
	text: string | undefined,
	name: string,
	min: number,
	max: number,
): number | undefined {
	if (text === undefined) return undefined;
	const value = Number(text);
	if (Number.isInteger(value) && value >= min && value <= max) return value;
	throw usage(`--${name} ${text} is not a whole number in ${min} to ${max}`);
}

function usage(message: string): WattvoxError {
	return new WattvoxError("E_USAGE", `${message} (wattvox-agent --help)`);
}

try {
	await main(process.argv.slice(2));
} catch (thrown) {
	const error = asWattvoxError(thrown);
	process.stderr.write(
		`wattvox-agent: ${error.code}: ${error.message}\n${error.help}\n`,
	);
	process.exitCode = error.exit;
}
