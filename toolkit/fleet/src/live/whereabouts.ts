import type { Reported } from "@wattvox/link";

/** What is known of where a device is and where it should be. */
export interface Known {
	/** Null: it never said. */
	online: boolean | null;
	reported: Reported | null;
	desired: { bundle: string; revision: number } | null;
}

/**
 * good: it runs what it should. busy: on the way there. wrong: it is not there and says why, or
 * nobody hears of it. none: nothing is desired of it.
 */
export type State = "good" | "busy" | "wrong" | "none";

/** Where a device is, and why it is not where it should be. Pure. */
export function whereabouts({ online, reported, desired }: Known): {
	state: State;
	why: string;
} {
	const away = online === false;
	if (!reported)
		return desired
			? wrong(away ? "offline, and never reported" : "never reported")
			: { state: "none", why: "nothing is desired of it" };
	const { state, reason, bundle } = reported;
	const because = reason ? `${reason.code}: ${reason.message}` : "";
	const behind = desired && (reported.revision ?? 0) < desired.revision;
	if (desired && !behind && state === "active" && bundle === desired.bundle)
		return away ? wrong("offline") : { state: "good", why: "" };
	if (away)
		return wrong(
			behind ? "offline since before this revision" : join("offline", because),
		);
	if (behind) return wrong(join("has not seen the newest revision", because));
	switch (state) {
		case "pulling":
			return { state: "busy", why: join(pulling(reported), because) };
		case "checking":
			return { state: "busy", why: join("checking the voice", because) };
		case "failed":
			return wrong(because || "failed");
		case "idle":
			return desired
				? wrong(because || "has no voice yet")
				: { state: "none", why: "nothing is desired of it" };
		default:
			return desired
				? wrong(because || "runs another bundle")
				: { state: "good", why: "" };
	}
}

function pulling({ progress }: Reported): string {
	if (!progress || progress.total === 0) return "pulling";
	const percent = Math.floor((100 * progress.done) / progress.total);
	return `pulling, ${percent} %`;
}

function wrong(why: string): { state: "wrong"; why: string } {
	return { state: "wrong", why };
}

function join(a: string, b: string): string {
	return b ? `${a}; ${b}` : a;
}
