import { checkId, isId } from "@wattvox/core";

/** The last level of a topic: what the message is. */
export const KINDS = [
	"presence",
	"desired",
	"reported",
	"pull",
	"block",
	"power",
	"utterances",
	"root",
	"offer",
	"collect",
	"upload",
	"verdict",
] as const;
export type Kind = (typeof KINDS)[number];

/** The topics that blocks are asked for on and come on, under the device's name in either direction. */
export interface Lane {
	ask: Kind;
	answer: Kind;
}
/** Store to device. */
export const PULL_LANE: Lane = { ask: "pull", answer: "block" };
/** Build station to store: the store asks. */
export const UPLOAD_LANE: Lane = { ask: "collect", answer: "upload" };

const PREFIX = "wattvox/v1";

/**
 * `wattvox/v1/<fleet>/<device>/<kind>`. Ids cannot hold `/`, `+`, `#` or `$`, so a topic cannot
 * reach another device's.
 * @throws WattvoxError E_USAGE
 */
export function topic(fleet: string, device: string, kind: Kind): string {
	checkId(fleet, "fleet id");
	checkId(device, "device id");
	return `${PREFIX}/${fleet}/${device}/${kind}`;
}

/**
 * A filter for one kind of message from every device.
 * @param fleet default: every fleet
 * @throws WattvoxError E_USAGE
 */
export function filter(kind: Kind, fleet?: string): string {
	const level = fleet === undefined ? "+" : checkId(fleet, "fleet id");
	return `${PREFIX}/${level}/+/${kind}`;
}

/** What a topic says; undefined when it is not one of ours. */
export function parseTopic(
	text: string,
): { fleet: string; device: string; kind: Kind } | undefined {
	const [a, b, fleet, device, kind, ...rest] = text.split("/");
	if (`${a}/${b}` !== PREFIX || rest.length > 0) return undefined;
	if (!isId(fleet) || !isId(device)) return undefined;
	const known = KINDS.find((k) => k === kind);
	return known && { fleet, device, kind: known };
}

/**
 * Whether an MQTT topic filter (with `+` and a final `#`) matches a topic. A broker asks it of every message
 * for every listener: no lists are made.
 */
export function matches(filter: string, name: string): boolean {
	for (let f = 0, n = 0; ; ) {
		const [fEnd, nEnd] = [levelEnd(filter, f), levelEnd(name, n)];
		const level = filter.slice(f, fEnd);
		if (level === "#") return true;
		if (level !== "+" && level !== name.slice(n, nEnd)) return false;
		if (fEnd === filter.length) return nEnd === name.length;
		if (nEnd === name.length) return filter.slice(fEnd) === "/#";
		f = fEnd + 1;
		n = nEnd + 1;
	}
}

/** Where the level that begins at `from` ends. */
function levelEnd(text: string, from: number): number {
	const slash = text.indexOf("/", from);
	return slash < 0 ? text.length : slash;
}
