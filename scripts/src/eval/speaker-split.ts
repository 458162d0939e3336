import { WattvoxError } from "@wattvox/core";

/**
 * The speakers of one split, out of a corpus's speakers.json.
 *
 * @throws WattvoxError E_FILE_FORMAT when it is not such a file
 */
export function speakerSplit(json: string, split: string): Set<string> {
	let speakers: unknown;
	try {
		speakers = JSON.parse(json);
	} catch {
		speakers = undefined;
	}
	if (!Array.isArray(speakers) || !speakers.every(isSpeaker))
		throw new WattvoxError(
			"E_FILE_FORMAT",
			"speakers.json should list { id, split }",
		);
	return new Set(speakers.filter((s) => s.split === split).map((s) => s.id));
}

function isSpeaker(x: unknown): x is { id: string; split: string } {
	const s = x as { id?: unknown; split?: unknown } | null;
	return typeof s?.id === "string" && typeof s.split === "string";
}
