import { pathToFileURL } from "node:url";
import { asWattvoxError, EXIT, facts, WattvoxError } from "@wattvox/core";

/** What every benchmark in `bench/` exports. */
export interface BenchModule {
	/**
	 * Measures and prints: tables on standard output, or one JSON value under `--json`; progress on
	 * standard error.
	 * @param argv what follows the benchmark's name
	 */
	run(argv: string[]): Promise<void>;
}

/** The benchmarks by name. Each is loaded only when it runs. */
export const BENCHES: Readonly<
	Record<string, { about: string; load: () => Promise<BenchModule> }>
> = {
	carbon: {
		about: "What waiting for a clean grid saves, over a year of it",
		load: () => import("./bench/carbon.ts"),
	},
	conv: {
		about:
			"Convolutions and their gradients: every form against every other, equal numbers",
		load: () => import("./bench/conv.ts"),
	},
	distil: {
		about:
			"A distilled student adapter against one trained directly, per joule",
		load: () => import("./bench/distil.ts"),
	},
	levers: {
		about: "Each switch of training alone: time, memory, energy, result",
		load: () => import("./bench/levers.ts"),
	},
	idle: {
		about: "Memory and processor of a device that is asked for nothing",
		load: () => import("./bench/idle.ts"),
	},
	voices: {
		about:
			"What each further voice in memory costs, and what its loading costs the others",
		load: () => import("./bench/voices.ts"),
	},
	faults: {
		about:
			"Hundreds of random faults on real processes and a real broker (the seed is printed)",
		load: () => import("./bench/faults.ts"),
	},
	fleet: {
		about:
			"Thousands of devices' power reports, each its own MQTT connection, counted exactly",
		load: () => import("./bench/fleet.ts"),
	},
	rounding: {
		about: "What a GPU's lower precisions may do to a voice, simulated",
		load: () => import("./bench/rounding.ts"),
	},
	pull: {
		about: "A bundle over MQTT, verified and on disk, against an HTTP download",
		load: () => import("./bench/pull.ts"),
	},
	soak: {
		about: "Whether agent and speaker grow over thousands of utterances",
		load: () => import("./bench/soak.ts"),
	},
	speaker: {
		about: "The speaker encoder's equal error rate on voices it never heard",
		load: () => import("./bench/speaker.ts"),
	},
	synth: {
		about:
			"Real-time factor, first sound, overhead over bare ONNX Runtime, joules",
		load: () => import("./bench/synth.ts"),
	},
	train: {
		about:
			"Our training step against PyTorch's: time, memory, equal losses, operators",
		load: () => import("./bench/train.ts"),
	},
	update: {
		about: "From publishing an adapter to its first sound, requests running",
		load: () => import("./bench/update.ts"),
	},
	voice: {
		about: "Words, identity and pitch of a voice against its recordings",
		load: () => import("./bench/voice.ts"),
	},
};

function usage(): string {
	const list = facts(
		Object.entries(BENCHES).map(([n, b]) => [`  ${n}`, b.about]),
	);
	return `npm run bench -- NAME [options]

${list}

--json prints one JSON value for programs, NAME --help the options of a benchmark.
`;
}

/** Runs the benchmark that `argv` names. @throws WattvoxError E_USAGE, and whatever it throws */
export async function bench(argv: readonly string[]): Promise<void> {
	const [name, ...rest] = argv;
	if (name === undefined || name === "--help" || name === "help")
		return void process.stdout.write(usage());
	const found = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
	if (!found)
		throw new WattvoxError("E_USAGE", `no benchmark "${name}"\n\n${usage()}`);
	await (await found.load()).run(rest);
}

async function main(): Promise<void> {
	try {
		await bench(process.argv.slice(2));
	} catch (thrown) {
		const error = unknownOption(thrown) ?? asWattvoxError(thrown);
		process.stderr.write(`${error.code}: ${error.message}\n${error.help}\n`);
		if (error.exit === EXIT.bug) process.stderr.write(`${error.stack}\n`);
		process.exitCode = error.exit;
	}
}

/** What `parseArgs` throws is the user's to mend. */
function unknownOption(thrown: unknown): WattvoxError | undefined {
	const { code, message } = thrown as NodeJS.ErrnoException;
	return code?.startsWith("ERR_PARSE_ARGS")
		? new WattvoxError("E_USAGE", message)
		: undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
