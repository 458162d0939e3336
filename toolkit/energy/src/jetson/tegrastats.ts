import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { findProgram } from "../find-program.ts";
import { LineGauge } from "../line-gauge.ts";
import type { GaugeSource, Unavailable } from "../source.ts";
import { chooseRails } from "./rails.ts";
import { parseTegrastats } from "./tegrastats-line.ts";

/** Milliseconds between two lines. */
const PERIOD = 100;
/** How long the first line may take, milliseconds. */
const PATIENCE = 3000;

/**
 * Opens NVIDIA's own tool on boards whose monitors cannot be read directly. Its first line tells which
 * rails there are.
 */
export async function openTegrastats(
	env: NodeJS.ProcessEnv = process.env,
): Promise<GaugeSource | Unavailable> {
	const command = findProgram("tegrastats", env, ["/usr/bin"]);
	if (!command) return { unavailable: "no tegrastats: not a Jetson" };
	const args = ["--interval", String(PERIOD)];
	const line = await firstLine(command, args);
	if (line === undefined)
		return { unavailable: `${command} printed nothing for ${PATIENCE} ms` };
	const choice = chooseRails([...parseTegrastats(line).rails.keys()]);
	if (!choice) return { unavailable: `${command} names no rail` };
	return new LineGauge({
		command,
		args,
		parse(text) {
			const { rails } = parseTegrastats(text);
			return choice.use.reduce((watts, name) => {
				const milliwatts = rails.get(name);
				if (milliwatts === undefined)
					throw new Error(`a line is without ${name}`);
				return watts + milliwatts / 1000;
			}, 0);
		},
		describe: {
			sensor: "tegrastats",
			rails: choice.use,
			scope: choice.scope,
			measured: true,
		},
	});
}

/** The program's first line; undefined when it prints none in time. */
function firstLine(
	command: string,
	args: readonly string[],
): Promise<string | undefined> {
	return new Promise((resolve) => {
		const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
		let first: string | undefined;
		const timer = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
		createInterface({ input: child.stdout }).once("line", (line) => {
			first = line;
			child.kill("SIGKILL");
		});
		const end = () => {
			clearTimeout(timer);
			resolve(first);
		};
		child.once("error", end);
		child.once("close", end);
	});
}
