import type { Reported } from "@wattvox/link";
import type { Finding } from "./joules/figures.ts";
import type { Reason, Step, View } from "./planner.ts";
import type { Runtime } from "./speaker/messages.ts";

/** The part of the planner's view that is reported. */
export type Seen = Pick<
	View,
	"desired" | "active" | "rejected" | "speaker" | "stale" | "engine"
> & {
	deviceClass: string;
	measured: boolean | undefined;
	runtime: Runtime | null;
	/** What the broker keeps from this device. */
	denied?: Reason | undefined;
	board?: Reported["board"];
	/** Of the active voice. */
	joules?: Finding | undefined;
};

/** What the agent itself adds to the view. */
export interface Situation {
	/** Under way. */
	step: Step | undefined;
	progress: { done: number; total: number } | undefined;
	/** The newest trouble that is not a rejected bundle: a refused message, a failing pull. */
	trouble: Reason | undefined;
	/** ISO 8601. */
	at: string;
}

/** The reported state: what the device runs, and why if that differs from what is desired. Pure. */
export function report(view: Seen, situation: Situation): Reported {
	const { desired, active, speaker } = view;
	const { step, progress, trouble, at } = situation;
	const rejected = desired && view.rejected.get(desired.bundle);
	const refused =
		rejected && rejected.revision >= (desired?.revision ?? 0)
			? rejected
			: undefined;
	const mute = speaker.failed?.digest === active?.digest && speaker.failed;
	// Trouble is cleared when a bundle is rejected, so where there is any it is the newest.
	const stale =
		desired && desired.bundle !== active?.digest ? view.stale : null;
	const reason =
		trouble ?? refused ?? stale ?? (mute || undefined) ?? view.denied;
	return {
		v: 1,
		bundle: active?.digest ?? null,
		revision: desired?.revision ?? null,
		state: stateOf(view, step, Boolean(refused || mute || stale)),
		...(reason && {
			reason: {
				code: reason.code,
				message: reason.message.slice(0, 1000),
			},
		}),
		...(step?.do === "pull" && progress && { progress }),
		deviceClass: view.deviceClass,
		...(view.measured !== undefined && { measured: view.measured }),
		...(view.board && { board: view.board }),
		...(view.runtime && { runtime: runtimeOf(view.runtime, view) }),
		...(view.joules && { joules: joulesOf(view.joules) }),
		at,
	};
}

function joulesOf({ verdict, why, figure }: Finding): Reported["joules"] {
	return { verdict, why: why.slice(0, 1000), ...(figure && { figure }) };
}

function runtimeOf(name: Runtime, { engine }: Seen): Reported["runtime"] {
	if (name === "tensorrt" || !engine || !("reason" in engine)) return { name };
	const { code, message } = engine.reason;
	return { name, reason: { code, message: message.slice(0, 1000) } };
}

function stateOf(
	view: Seen,
	step: Step | undefined,
	refused: boolean,
): Reported["state"] {
	switch (step?.do) {
		case "pull":
			return "pulling";
		case "lay-out":
		case "try":
		case "activate":
			return "checking";
	}
	if (refused || step?.do === "wait") return "failed";
	if (!view.active) return "idle";
	// chosen is not spoken yet: the speaker changes to it between two utterances
	return view.speaker.digest === view.active.digest ? "active" : "checking";
}
