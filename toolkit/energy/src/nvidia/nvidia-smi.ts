import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findProgram } from "../find-program.ts";
import { LineGauge } from "../line-gauge.ts";
import type { GaugeSource, Unavailable } from "../source.ts";

const PERIOD_MS = 200;

/** One card's line of `nvidia-smi --query-gpu=index,name,power.draw --format=csv,noheader,nounits`. */
export interface SmiLine {
	index: number;
	name: string;
	/** null: "[N/A]", "[Not Supported]" and the like, which is unknown and never 0. */
	watts: number | null;
}

/** Reads a line; undefined for what is none. */
export function parseSmi(line: string): SmiLine | undefined {
	// A name may hold commas: the number stands first, the power last.
	const match = /^\s*(\d+)\s*,\s*(.*\S)\s*,\s*([^,]+?)\s*$/.exec(line);
	if (!match) return undefined;
	const [, index = "", name = "", power = ""] = match;
	return {
		index: Number(index),
		name,
		watts: /^\d+(\.\d+)?$/.test(power) ? Number(power) : null,
	};
}

/**
 * Opens the graphics cards through the driver's own tool, where its library cannot be used. It runs
 * on in the background and prints every card's power five times a second.
 */
export async function openNvidiaSmi(
	env: NodeJS.ProcessEnv = process.env,
): Promise<GaugeSource | Unavailable> {
	const command = findProgram("nvidia-smi", env, ["/usr/lib/wsl/lib"]);
	if (!command) return { unavailable: "no nvidia-smi" };
	const query = [
		"--query-gpu=index,name,power.draw",
		"--format=csv,noheader,nounits",
	];
	let first: SmiLine[];
	try {
		const { stdout } = await promisify(execFile)(command, query, {
			timeout: 10_000,
		});
		first = stdout.split("\n").flatMap((line) => parseSmi(line) ?? []);
	} catch (thrown) {
		const { message } = thrown as Error;
		return { unavailable: `nvidia-smi: ${message.split("\n")[0]}` };
	}
	if (first.length === 0) return { unavailable: "nvidia-smi names no card" };
	const silent = first.find((card) => card.watts === null);
	if (silent)
		return {
			unavailable: `nvidia-smi tells no power of gpu-${silent.index} ${silent.name}`,
		};
	const watts = new Map<number, number>();
	return new LineGauge({
		command,
		args: [...query, `--loop-ms=${PERIOD_MS}`],
		lagSeconds: 1,
		parse(line) {
			const card = parseSmi(line);
			if (!card) return undefined;
			if (card.watts === null) {
				watts.clear();
				throw new Error(`it tells no power of gpu-${card.index} any more`);
			}
			watts.set(card.index, card.watts);
			if (watts.size < first.length) return undefined;
			const sum = [...watts.values()].reduce((a, b) => a + b, 0);
			watts.clear();
			return sum;
		},
		describe: {
			sensor: "nvidia-smi",
			rails: first.map((card) => `gpu-${card.index} ${card.name}`),
			scope:
				"graphics cards, every process on them, by their power; without the machine around them",
			measured: true,
			domain: "gpu",
		},
	});
}
