import { WattvoxError } from "@wattvox/core";
import test from "ava";
import fc from "fast-check";
import { readWav, writeWav } from "./wav.ts";

type Kind = "u8" | "s16" | "s24" | "s32" | "f32" | "f64";
const BITS = { u8: 8, s16: 16, s24: 24, s32: 32, f32: 32, f64: 64 };

/** Encodes interleaved -1..1 values, so that the reader is not tested against its own writer. */
function encode(
	kind: Kind,
	channels: number,
	rate: number,
	x: number[],
	extensible = false,
) {
	const width = BITS[kind] / 8;
	const fmt = extensible ? 40 : 16;
	const b = Buffer.alloc(12 + 8 + fmt + 8 + x.length * width);
	b.write("RIFF", 0, "latin1");
	b.writeUInt32LE(b.length - 8, 4);
	b.write("WAVEfmt ", 8, "latin1");
	b.writeUInt32LE(fmt, 16);
	const code = kind.startsWith("f") ? 3 : 1;
	b.writeUInt16LE(extensible ? 0xfffe : code, 20);
	b.writeUInt16LE(channels, 22);
	b.writeUInt32LE(rate, 24);
	b.writeUInt32LE(rate * channels * width, 28);
	b.writeUInt16LE(channels * width, 32);
	b.writeUInt16LE(BITS[kind], 34);
	if (extensible) {
		b.writeUInt16LE(22, 36);
		b.writeUInt16LE(BITS[kind], 38);
		b.writeUInt16LE(code, 44);
	}
	let o = 20 + fmt;
	b.write("data", o, "latin1");
	b.writeUInt32LE(x.length * width, o + 4);
	o += 8;
	for (const v of x) {
		if (kind === "u8")
			b.writeUInt8(Math.min(255, Math.round(v * 128) + 128), o);
		if (kind === "s16")
			b.writeInt16LE(Math.min(32767, Math.round(v * 32768)), o);
		if (kind === "s24")
			b.writeIntLE(Math.min(8388607, Math.round(v * 8388608)), o, 3);
		if (kind === "s32")
			b.writeInt32LE(Math.min(2147483647, Math.round(v * 2147483648)), o);
		if (kind === "f32") b.writeFloatLE(v, o);
		if (kind === "f64") b.writeDoubleLE(v, o);
		o += width;
	}
	return b;
}

const sound = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
	maxLength: 60,
});

for (const kind of Object.keys(BITS) as Kind[])
	test(`reads ${kind}, mono and mixed down, plain and extensible`, (t) => {
		const step = {
			u8: 1 / 128,
			s16: 2 ** -15,
			s24: 2 ** -23,
			s32: 1e-7,
			f32: 1e-7,
			f64: 1e-7,
		};
		fc.assert(
			fc.property(
				sound,
				fc.integer({ min: 1, max: 5 }),
				fc.boolean(),
				(x, channels, ext) => {
					const whole = x.slice(0, Math.floor(x.length / channels) * channels);
					const wav = readWav(encode(kind, channels, 44100, whole, ext));
					t.is(wav.sampleRate, 44100);
					t.is(wav.channels, channels);
					t.is(wav.bits, BITS[kind]);
					t.is(wav.samples.length, whole.length / channels);
					wav.samples.forEach((got, i) => {
						const frame = whole.slice(i * channels, (i + 1) * channels);
						const want = frame.reduce((a, v) => a + v, 0) / channels;
						t.true(
							Math.abs(got - want) <= step[kind] + 1e-7,
							`${got} for ${want}`,
						);
					});
				},
			),
			{ numRuns: 40 },
		);
	});

test("writes what it reads: 16-bit values come back exactly, with and without a comment", (t) => {
	const ints = fc.array(fc.integer({ min: -32768, max: 32767 }), {
		maxLength: 50,
	});
	fc.assert(
		fc.property(
			ints,
			fc.option(fc.string(), { nil: undefined }),
			(x, comment) => {
				const samples = Float32Array.from(x, (v) => v / 32768);
				const bytes = writeWav(
					samples,
					16000,
					comment === undefined ? {} : { comment },
				);
				t.is(new DataView(bytes.buffer).getUint32(4, true), bytes.length - 8);
				t.deepEqual(readWav(bytes), {
					sampleRate: 16000,
					samples,
					channels: 1,
					bits: 16,
				});
				if (comment) t.true(Buffer.from(bytes).includes(comment));
			},
		),
	);
});

test("clips beyond full scale and refuses values that are not numbers", (t) => {
	t.deepEqual(
		Array.from(readWav(writeWav(Float32Array.of(2, -2), 8000)).samples),
		[32767 / 32768, -1],
	);
	t.throws(() => writeWav(Float32Array.of(Number.NaN), 8000), {
		code: "E_BUG",
	});
});

test("passes over other chunks, odd ones too, and takes a view into a larger buffer", (t) => {
	const plain = encode("s16", 1, 8000, [0.25, -0.25]);
	const junk = Buffer.from("LIST\x03\0\0\0abc\0", "latin1");
	const file = Buffer.concat([
		plain.subarray(0, 12),
		junk,
		plain.subarray(12),
		junk,
	]);
	const inside = Buffer.concat([Buffer.alloc(3), file]).subarray(3);
	t.deepEqual(Array.from(readWav(inside).samples), [0.25, -0.25]);
});

test("reads a stream's header, whose sizes are unknown", (t) => {
	for (const size of [0xffffffff, 0x7ffff024]) {
		const b = encode("s16", 1, 8000, [0.5, 0.5, 0.5]);
		b.writeUInt32LE(size, 4);
		b.writeUInt32LE(size, 40);
		t.is(readWav(b).samples.length, 3);
	}
});

const good = encode("s16", 2, 16000, [0.1, 0.2, 0.3, 0.4]);
function broken(change: (b: Buffer) => void): Buffer {
	const b = Buffer.from(good);
	change(b);
	return b;
}

for (const [what, bytes] of Object.entries({
	empty: Buffer.alloc(0),
	"text file": Buffer.from("This is no sound at all, is it?"),
	"header alone": good.subarray(0, 12),
	"no data": good.subarray(0, 36),
	"cut short": good.subarray(0, good.length - 1),
	"big-endian RIFX": broken((b) => b.write("RIFX", 0)),
	"absurd data size": broken((b) => b.writeUInt32LE(0xffffffff, 40)),
	"absurd format size": broken((b) => b.writeUInt32LE(0xfffffff0, 16)),
	"short format": broken((b) => b.writeUInt32LE(10, 16)),
	"no channels": broken((b) => b.writeUInt16LE(0, 22)),
	"no rate": broken((b) => b.writeUInt32LE(0, 24)),
	"absurd rate": broken((b) => b.writeUInt32LE(0xffffffff, 24)),
	"wrong frame size": broken((b) => b.writeUInt16LE(3, 32)),
	"12 bits": broken((b) => b.writeUInt16LE(12, 34)),
	"mp3 inside": broken((b) => b.writeUInt16LE(0x55, 20)),
	"not a number": encode("f32", 1, 16000, [0, Number.NaN]),
	infinite: encode("f64", 1, 16000, [Number.POSITIVE_INFINITY]),
}))
	test(`E_WAV_CORRUPT: ${what}`, (t) => {
		t.throws(() => readWav(bytes), {
			instanceOf: WattvoxError,
			code: "E_WAV_CORRUPT",
		});
	});

test("random damage gives a sound or E_WAV_CORRUPT, nothing else", (t) => {
	const damage = fc.array(
		fc.tuple(
			fc.nat({ max: good.length - 1 }),
			fc.integer({ min: 0, max: 255 }),
		),
		{
			minLength: 1,
			maxLength: 6,
		},
	);
	fc.assert(
		fc.property(damage, fc.nat({ max: good.length }), (changes, length) => {
			const b = Buffer.from(good);
			for (const [at, value] of changes) b[at] = value;
			try {
				t.true(readWav(b.subarray(0, length)).samples.length <= good.length);
			} catch (error) {
				t.is((error as WattvoxError).code, "E_WAV_CORRUPT");
			}
		}),
		{ numRuns: 500 },
	);
});
