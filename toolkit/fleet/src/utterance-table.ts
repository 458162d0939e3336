import { table } from "@wattvox/core";
import type { UtteranceAnswer, UtterancePoint } from "./power/utterance.ts";
import { three } from "./power-table.ts";

const HEADS = [
	...["ended (UTC)", "device", "voice", "audio s", "s per s of audio"],
	...["first sound ms", "J (share)", "energy"],
];

/** Single utterances for a terminal, the newest first, and what devices could not keep. */
export function formatUtterances({ rows, lost }: UtteranceAnswer): string {
	const gone: string[] = [];
	const say = (n: number, what: string) => {
		if (n > 0) gone.push(`${n.toLocaleString("en")} ${what}`);
	};
	say(lost.utterances, "utterances thinned out on devices");
	say(lost.readings, "readings thinned out, which changes no total");
	say(lost.boots, "boots whose last counts are missing from totals");
	say(lost.damaged, "entries damaged on devices' disks");
	const tail = gone.length > 0 ? `\n\nnot here: ${gone.join("; ")}` : "";
	if (rows.length === 0) return `no utterance is kept${tail}`;
	const numbers = HEADS.map((_, i) =>
		i > 2 && i < 7 ? ("right" as const) : ("left" as const),
	);
	return table(HEADS, rows.map(line), numbers) + tail;
}

function line(u: UtterancePoint): string[] {
	const pace = u.audioSeconds > 0 ? u.computeSeconds / u.audioSeconds : null;
	return [
		new Date(u.at).toISOString().slice(0, 19).replace("T", " "),
		u.device,
		`${u.voice?.slice(0, 12) ?? "no voice"}${u.whole ? "" : " (broken off)"}`,
		u.audioSeconds.toFixed(1),
		three(pace),
		u.firstSoundMs === null ? "unknown" : u.firstSoundMs.toFixed(0),
		three(u.millijoules === null ? null : u.millijoules / 1000),
		`${u.measured ? "measured" : "estimated"}, ${u.sensor}`,
	];
}
