import { readWav, type Wav } from "@wattvox/speech";
import { TeacherError } from "./teacher-error.ts";

/** How other formats of sound begin, so that an error can name them. */
const FORMATS: readonly (readonly [RegExp, string])[] = [
	[/^\xff[\xf0\xf1\xf8\xf9]/, "AAC"],
	[/^ID3|^\xff[\xe2-\xfb]/, "MP3"],
	[/^OggS/, "Ogg"],
	[/^fLaC/, "FLAC"],
];

/**
 * The sound in a teacher's answer.
 * @throws TeacherError E_TEACHER: nothing, no wav (named if known), or a wav without a sample
 */
export function soundOf(bytes: Uint8Array): Wav {
	if (bytes.length === 0)
		throw new TeacherError("garbage", "the teacher's answer is empty");
	let wav: Wav;
	try {
		wav = readWav(withLength(bytes));
	} catch (cause) {
		const start = Buffer.from(bytes.subarray(0, 16)).toString("latin1");
		const format = FORMATS.find(([pattern]) => pattern.test(start))?.[1];
		throw format
			? new TeacherError(
					"format",
					`the teacher answered with ${format}, not with a wav file`,
				)
			: new TeacherError(
					"garbage",
					`the teacher's answer is no sound: ${(cause as Error).message}`,
					{ cause },
				);
	}
	if (wav.samples.length === 0)
		throw new TeacherError("garbage", "the teacher's answer holds no sound");
	return wav;
}

/** Sizes that say "until the end". */
const UNKNOWN = 0xffffffff;

/**
 * A wav whose header was written before its sound was there: streaming servers leave a length of 0 in
 * it. The copy says "until the end".
 */
function withLength(bytes: Uint8Array): Uint8Array {
	const at = Buffer.from(bytes.subarray(0, 256)).indexOf("data", 12, "latin1");
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	if (at < 0 || at + 8 >= bytes.length || view.getUint32(at + 4, true) !== 0)
		return bytes;
	const copy = Uint8Array.from(bytes);
	const out = new DataView(copy.buffer);
	out.setUint32(4, UNKNOWN, true);
	out.setUint32(at + 4, UNKNOWN, true);
	return copy;
}
