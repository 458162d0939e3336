import { table, WattvoxError } from "@wattvox/core";
import { runDeviceBench, withSpeakingRig } from "./device-bench.ts";
import type { Reply } from "./device-rig.ts";
import { formatMachine, machineFacts, median, quantile } from "./machine.ts";

/** The goals of the design's budget table. */
const GOAL = { seconds: 2, dropped: 0 };

const SENTENCE = "The birch canoe slid on the smooth planks.";

/** `bench update`: from publishing a new adapter to its first sound, while the device speaks on. */
export function run(argv: string[]): Promise<void> {
	return runDeviceBench(argv, {
		name: "update",
		count: {
			name: "runs",
			about: "updates, each to another adapter on the same base",
			default: 10,
			least: 1,
		},
		measure: ({ count, ...rest }, note, signal) =>
			measureUpdates({ ...rest, runs: count }, note, signal),
		report,
	});
}

type Result = Awaited<ReturnType<typeof measureUpdates>>;

/**
 * Updates a device again and again while one client asks it for a sentence after the other.
 * @throws WattvoxError E_GOLDEN when a voice is refused; the signal's reason
 */
export function measureUpdates(
	o: { voice: string; runs: number; dir: string },
	note: (line: string) => void,
	signal: AbortSignal,
) {
	return withSpeakingRig(o, note, signal, async (rig, first) => {
		const stop = new AbortController();
		const replies: Reply[] = [];
		/** Resolves with the first reply in a voice. */
		const awaited = new Map<string, (reply: Reply) => void>();
		const talk = (async () => {
			while (!stop.signal.aborted) {
				const reply = await rig.say(SENTENCE, signal);
				replies.push(reply);
				if (reply.bundle) awaited.get(reply.bundle)?.(reply);
			}
		})();
		talk.catch(() => undefined);
		const calledOff = talk.then(() => null);
		calledOff.catch(() => undefined);
		const seconds: number[] = [];
		const before = new Set([first]);
		try {
			for (let i = 1; i <= o.runs; i++) {
				const { path, digest } = await rig.bundle(i);
				// The voice that speaks already would answer at once.
				if (before.has(digest))
					throw new WattvoxError("E_BUG", "an update changed nothing");
				before.add(digest);
				const heard = new Promise<Reply>((resolve) =>
					awaited.set(digest, resolve),
				);
				const begin = performance.now();
				await rig.publish(path, signal);
				const spoke = new AbortController();
				const refused = rig.untilRefused(spoke.signal);
				const reply = await Promise.race([heard, calledOff, refused]).finally(
					() => spoke.abort(),
				);
				if (!reply) throw new WattvoxError("E_INTERRUPTED", "called off");
				seconds.push((reply.firstAt - begin) / 1000);
				note(`update ${i}: ${seconds.at(-1)?.toFixed(2)} s`);
			}
		} finally {
			stop.abort();
		}
		await talk;
		const whole = Math.max(...replies.map((r) => r.bytes));
		const { speaker } = await rig.status();
		return {
			machine: machineFacts(),
			runs: o.runs,
			seconds,
			medianSeconds: median(seconds),
			p95Seconds: quantile(seconds, 0.95),
			requests: replies.length,
			// Adapters differ by a hair: an answer that is much shorter broke off.
			dropped: replies.filter((r) => r.status !== 200 || r.bytes < whole / 2)
				.length,
			replyMs: {
				median: median(replies.map((r) => r.endAt - r.beginAt)),
				max: Math.max(...replies.map((r) => r.endAt - r.beginAt)),
			},
			speakerRestarts: speaker.restarts,
		};
	});
}

function report(r: Result): string {
	const verdict = (ok: boolean) => (ok ? "met" : "MISSED");
	const rows = [
		[
			"publish to first sound, median",
			`${r.medianSeconds.toFixed(2)} s`,
			`<= ${GOAL.seconds} s`,
			verdict(r.medianSeconds <= GOAL.seconds),
		],
		["the same, 95th percentile", `${r.p95Seconds.toFixed(2)} s`],
		[
			`requests dropped, of ${r.requests}`,
			`${r.dropped}`,
			`${GOAL.dropped}`,
			verdict(r.dropped <= GOAL.dropped),
		],
		["a request, median", `${r.replyMs.median.toFixed(0)} ms`],
		["a request, slowest", `${r.replyMs.max.toFixed(0)} ms`],
		["restarts of the speaker", `${r.speakerRestarts}`],
	];
	return `${formatMachine(r.machine)}; ${r.runs} updates to another adapter on the same base

${table(["", "figure", "goal", "verdict"], rows, ["left", "right", "right"])}
`;
}
