import { writeWav } from "@wattvox/speech";

/** Bytes before the samples in a wav file without a comment. */
const PLAIN_HEADER = 44;
const UNKNOWN = 0xffffffff;

/** Samples as 16-bit little-endian PCM. */
export function pcm16(samples: Float32Array): Uint8Array {
	return writeWav(samples, 8000).subarray(PLAIN_HEADER);
}

/**
 * The head of a wav file whose length is not known yet: sizes of 0xffffffff, as programs that write
 * to a pipe store them.
 */
export function wavStreamHeader(
	sampleRate: number,
	comment: string,
): Uint8Array {
	const head = writeWav(new Float32Array(0), sampleRate, { comment });
	const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
	view.setUint32(4, UNKNOWN, true);
	view.setUint32(head.byteLength - 4, UNKNOWN, true);
	return head;
}
