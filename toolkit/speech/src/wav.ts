import { WattvoxError } from "@wattvox/core";

/** A sound file's content. */
export interface Wav {
	/** Samples per second. */
	sampleRate: number;
	/** Mono (the mean of the channels), -1..1 for integer formats; floats are kept as stored. */
	samples: Float32Array;
	/** Channels in the file. */
	channels: number;
	/** Bits per sample in the file. */
	bits: number;
}

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;
/** Programs that write to a pipe cannot know the length and store this or more (sox, ffmpeg, espeak-ng). */
const UNKNOWN_SIZE = 0x7ffff000;

function corrupt(message: string): WattvoxError {
	return new WattvoxError("E_WAV_CORRUPT", message);
}

interface Format {
	float: boolean;
	channels: number;
	sampleRate: number;
	/** Bytes of one sample of one channel. */
	width: number;
	bits: number;
}

/**
 * Read a RIFF/WAVE file: PCM of 8, 16, 24 or 32 bits or float of 32 or 64, any number of channels up to 64,
 * plain or WAVE_FORMAT_EXTENSIBLE. Chunks other than `fmt ` and `data` are passed over.
 * @throws WattvoxError E_WAV_CORRUPT: not such a file, cut short, or holding values that are not numbers.
 */
export function readWav(bytes: Uint8Array): Wav {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	if (bytes.length < 12)
		throw corrupt(`not a wav file: only ${bytes.length} bytes`);
	const riff = tag(view, 0);
	if (riff !== "RIFF" || tag(view, 8) !== "WAVE")
		throw corrupt(
			`not a RIFF/WAVE file: it starts with ${JSON.stringify(riff)}`,
		);
	const streamed = view.getUint32(4, true) >= UNKNOWN_SIZE;
	let format: Format | undefined;
	let offset = 12;
	while (offset + 8 <= bytes.length) {
		const id = tag(view, offset);
		let size = view.getUint32(offset + 4, true);
		offset += 8;
		const rest = bytes.length - offset;
		if (id === "data" && streamed && size >= UNKNOWN_SIZE) size = rest;
		if (size > rest)
			throw corrupt(
				`cut short: chunk ${JSON.stringify(id)} claims ${size} bytes, ${rest} are left`,
			);
		if (id === "fmt ") format = readFormat(view, offset, size);
		if (id === "data") {
			if (!format) throw corrupt("no format before the sound data");
			return decode(view, offset, size, format);
		}
		offset += size + (size % 2); // chunks are padded to even lengths
	}
	throw corrupt(format ? "no sound data in the file" : "no format in the file");
}

function tag(view: DataView, offset: number): string {
	let s = "";
	for (let i = 0; i < 4; i++)
		s += String.fromCharCode(view.getUint8(offset + i));
	return s;
}

function readFormat(view: DataView, at: number, size: number): Format {
	if (size < 16) throw corrupt(`format chunk of ${size} bytes`);
	let code = view.getUint16(at, true);
	const channels = view.getUint16(at + 2, true);
	const sampleRate = view.getUint32(at + 4, true);
	const block = view.getUint16(at + 12, true);
	const bits = view.getUint16(at + 14, true);
	if (code === EXTENSIBLE) {
		if (size < 40) throw corrupt(`extensible format chunk of ${size} bytes`);
		code = view.getUint16(at + 24, true); // the sub-format GUID starts with the plain code
	}
	if (code !== PCM && code !== FLOAT)
		throw corrupt(
			`sample format 0x${code.toString(16)} is neither PCM nor float`,
		);
	if (channels < 1 || channels > 64) throw corrupt(`${channels} channels`);
	if (sampleRate < 1000 || sampleRate > 768_000)
		throw corrupt(`sample rate ${sampleRate} Hz`);
	const known = code === FLOAT ? [32, 64] : [8, 16, 24, 32];
	if (!known.includes(bits))
		throw corrupt(
			`${bits} bits per ${code === FLOAT ? "float" : "PCM"} sample`,
		);
	const width = bits / 8;
	if (block !== width * channels)
		throw corrupt(
			`frames of ${block} bytes for ${channels} channels of ${bits} bits`,
		);
	return { float: code === FLOAT, channels, sampleRate, width, bits };
}

function decode(view: DataView, at: number, size: number, f: Format): Wav {
	const { channels, width } = f;
	const frames = Math.floor(size / (width * channels));
	const samples = new Float32Array(frames);
	const read = reader(view, f);
	let offset = at;
	for (let i = 0; i < frames; i++) {
		let sum = 0;
		for (let ch = 0; ch < channels; ch++, offset += width) sum += read(offset);
		const value = sum / channels;
		if (!Number.isFinite(value))
			throw corrupt(`sample ${i} is not a finite number`);
		samples[i] = value;
	}
	return { sampleRate: f.sampleRate, samples, channels, bits: f.bits };
}

function reader(view: DataView, f: Format): (offset: number) => number {
	if (f.float)
		return f.width === 4
			? (o) => view.getFloat32(o, true)
			: (o) => view.getFloat64(o, true);
	switch (f.width) {
		case 1:
			return (o) => (view.getUint8(o) - 128) / 128; // 8-bit PCM alone is unsigned
		case 2:
			return (o) => view.getInt16(o, true) / 32768;
		case 3:
			return (o) =>
				(view.getUint16(o, true) + view.getInt8(o + 2) * 65536) / 8388608;
		default:
			return (o) => view.getInt32(o, true) / 2147483648;
	}
}

/**
 * Write a mono 16-bit PCM file. Samples beyond -1..1 are clipped.
 * @param opts.comment stored as RIFF INFO/ICMT (UTF-8), for example to tag synthetic speech.
 * @throws WattvoxError E_BUG when a sample is not a finite number.
 */
export function writeWav(
	samples: Float32Array,
	sampleRate: number,
	opts: { comment?: string } = {},
): Uint8Array {
	const info =
		opts.comment === undefined ? new Uint8Array(0) : infoChunk(opts.comment);
	const dataBytes = samples.length * 2;
	const bytes = new Uint8Array(44 + info.length + dataBytes);
	const view = new DataView(bytes.buffer);
	put(bytes, 0, "RIFF");
	view.setUint32(4, bytes.length - 8, true);
	put(bytes, 8, "WAVEfmt ");
	view.setUint32(16, 16, true);
	view.setUint16(20, PCM, true);
	view.setUint16(22, 1, true);
	view.setUint32(24, sampleRate, true);
	view.setUint32(28, sampleRate * 2, true);
	view.setUint16(32, 2, true);
	view.setUint16(34, 16, true);
	bytes.set(info, 36);
	const data = 36 + info.length;
	put(bytes, data, "data");
	view.setUint32(data + 4, dataBytes, true);
	for (let i = 0, o = data + 8; i < samples.length; i++, o += 2) {
		const s = samples[i] as number;
		if (!Number.isFinite(s))
			throw new WattvoxError("E_BUG", `sample ${i} to write is ${s}`);
		view.setInt16(
			o,
			Math.max(-32768, Math.min(32767, Math.round(s * 32768))),
			true,
		);
	}
	return bytes;
}

function put(bytes: Uint8Array, at: number, text: string): void {
	for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}

function infoChunk(comment: string): Uint8Array {
	const text = new TextEncoder().encode(`${comment}\0`);
	const padded = text.length + (text.length % 2);
	const chunk = new Uint8Array(20 + padded);
	const view = new DataView(chunk.buffer);
	put(chunk, 0, "LIST");
	view.setUint32(4, 12 + padded, true);
	put(chunk, 8, "INFOICMT");
	view.setUint32(16, text.length, true);
	chunk.set(text, 20);
	return chunk;
}
