import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { facts, WattvoxError } from "@wattvox/core";
import { boardWords } from "@wattvox/energy";
import { agentOf } from "./lock.ts";
import type { AgentStatus } from "./reporter.ts";

/** What an agent last wrote about itself, and whether it still runs. */
export interface WrittenStatus extends AgentStatus {
	running: boolean;
}

/**
 * Reads the status of the agent on a data folder; asks no process.
 * @throws WattvoxError E_FILE_MISSING when none ever ran there
 */
export async function readStatus(dataDir: string): Promise<WrittenStatus> {
	const path = join(dataDir, "status.json");
	try {
		const written = JSON.parse(await readFile(path, "utf8")) as AgentStatus;
		const running = (await agentOf(dataDir)) === written.pid;
		return { running, ...written };
	} catch (cause) {
		throw new WattvoxError(
			"E_FILE_MISSING",
			`no agent ever ran on ${dataDir}`,
			{
				cause,
			},
		);
	}
}

/** A status for people. */
export function formatStatus(status: WrittenStatus): string {
	const { reported, speaker, running, pid } = status;
	const lines: [string, string][] = [
		[
			"agent",
			running ? `process ${pid}` : "not running; this is what it said last",
		],
		[
			"speech",
			`${status.url} (${speaker.up ? `process ${speaker.pid}, restarted ${speaker.restarts} times` : "down"})`,
		],
		["broker", status.connected ? "connected" : "not connected"],
		...(status.denied ?? []).map(
			({ kind, code, message }): [string, string] => [
				"denied",
				`${kind} (${code}: ${message})`,
			],
		),
		["voice", reported.bundle ?? "none yet"],
		...runtimeLines(status),
		...voiceLines(status),
		[
			"state",
			reported.revision === null
				? reported.state
				: `${reported.state}, revision ${reported.revision}`,
		],
	];
	if (reported.reason)
		lines.push([
			"because",
			`${reported.reason.code}: ${reported.reason.message}`,
		]);
	if (reported.board)
		lines.push(["board", boardWords(reported.board).join(", ")]);
	if (reported.progress)
		lines.push([
			"pulled",
			`${reported.progress.done} of ${reported.progress.total} bytes`,
		]);
	if (reported.joules)
		lines.push([
			"joules",
			`${reported.joules.verdict}: ${reported.joules.why}`,
		]);
	if (status.trial) lines.push(["trial", trialLine(status.trial)]);
	return facts(lines);
}

/** The golden sentences' figures; an agent before this one may have written fewer. */
function trialLine(trial: NonNullable<AgentStatus["trial"]>): string {
	const { bundle, passed, melDistance, realTimeFactor, firstSoundMs } = trial;
	return [
		`${bundle.slice(0, 12)} ${passed ? "passed" : "failed"}`,
		`mel distance ${melDistance.toFixed(3)}`,
		`real-time factor ${realTimeFactor.toFixed(3)}`,
		`first sound ${Math.round(firstSoundMs)} ms`,
		`underruns ${trial.underruns ?? "unknown"}`,
	].join(", ");
}

function runtimeLines({
	reported,
	speaker,
}: WrittenStatus): [string, string][] {
	const { runtime } = reported;
	if (!runtime) return [];
	if (runtime.name === "tensorrt")
		return [["by", `TensorRT, engine ${speaker.engine?.slice(0, 12) ?? ""}`]];
	const { reason } = runtime;
	return [
		[
			"by",
			`ONNX Runtime${reason ? ` (${reason.code}: ${reason.message})` : ""}`,
		],
	];
}

/** What may be asked for beside the active voice. */
function voiceLines({ voices = [] }: WrittenStatus): [string, string][] {
	return voices
		.filter((v) => !v.active)
		.map(({ id, bundle, base, loaded, runtime, engine }) => [
			"also",
			[
				`${id} ${bundle.slice(0, 12)} on ${base}`,
				loaded ? "loaded" : "loaded when it is asked for",
				...(engine
					? [`by TensorRT, engine ${engine.slice(0, 12)}`]
					: runtime
						? ["by ONNX Runtime"]
						: []),
			].join(", "),
		]);
}
