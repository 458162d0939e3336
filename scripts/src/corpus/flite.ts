import { WattvoxError } from "@wattvox/core";
import { execute } from "./execute.ts";

/** flite's voices that we use: two of them clustergen women and men, one diphone man (`kal16`). */
export type FliteVoice = "slt" | "rms" | "awb" | "kal16";
export const FLITE_VOICES: readonly FliteVoice[] = [
	"slt",
	"rms",
	"awb",
	"kal16",
];

/**
 * What `flite -psdur` prints: "pau:0.184 dh:0.236 ..." with END times in seconds.
 * A text of several sentences counts on, it does not start again.
 * @throws WattvoxError E_FILE_FORMAT when a token is not `phone:seconds` or time goes back
 */
export function parsePsdur(printed: string): [phone: string, end: number][] {
	let before = 0;
	return printed
		.trim()
		.split(/\s+/)
		.map((token) => {
			const match = /^([a-z]+):(\d+(?:\.\d+)?)$/.exec(token);
			const end = Number(match?.[2]);
			if (!match || !(end >= before)) {
				throw new WattvoxError(
					"E_FILE_FORMAT",
					`flite printed ${JSON.stringify(token)} where a phone's end was due`,
				);
			}
			before = end;
			return [match[1] as string, end];
		});
}

export interface FliteOptions {
	voice: FliteVoice;
	/** Target mean and deviation of the pitch in Hz; the voice's own when left out. `rms` ignores both. */
	pitch?: { mean: number; deviation: number };
	/** Factor on every duration; 1 when left out. */
	stretch?: number;
}

/** Speaks `text` into the wav file `out`; phone ends in seconds. */
export async function flite(
	text: string,
	out: string,
	options: FliteOptions,
	signal?: AbortSignal,
): Promise<[phone: string, end: number][]> {
	const args = ["-voice", options.voice, "-psdur"];
	const setf = (name: string, value: number) =>
		args.push("--setf", `${name}=${value.toFixed(4)}`);
	if (options.pitch) {
		setf("int_f0_target_mean", options.pitch.mean);
		setf("int_f0_target_stddev", options.pitch.deviation);
	}
	if (options.stretch !== undefined) setf("duration_stretch", options.stretch);
	args.push("-t", text, "-o", out);
	const printed = await execute("flite", args, { signal });
	return parsePsdur(printed.toString("utf8"));
}
