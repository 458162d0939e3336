import test from "ava";
import fc from "fast-check";
import {
	DATA_CLASS,
	type DType,
	decodeSafetensors,
	encodeSafetensors,
	floats,
	type Tensor,
} from "./index.ts";

const DTYPES = Object.keys(DATA_CLASS) as DType[];

/** Any tensor, its bytes at random. */
const anyTensor: fc.Arbitrary<Tensor> = fc
	.tuple(
		fc.constantFrom(...DTYPES),
		fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
	)
	.chain(([dtype, dims]) => {
		const size = dims.reduce((a, b) => a * b, 1);
		const length = size * DATA_CLASS[dtype].BYTES_PER_ELEMENT;
		return fc
			.uint8Array({ minLength: length, maxLength: length })
			.map((bytes) => ({
				dtype,
				dims,
				data: new DATA_CLASS[dtype](bytes.slice().buffer),
			}));
	});
const sorted = (m: Map<string, Tensor>) =>
	[...m].sort(([a], [b]) => (a < b ? -1 : 1));
const anyName = fc.string({ minLength: 1 }).filter((s) => s !== "__metadata__");

test("what is written comes back, bit by bit", (t) => {
	fc.assert(
		fc.property(
			fc.array(fc.tuple(anyName, anyTensor), { maxLength: 5 }),
			fc.dictionary(fc.string(), fc.string()).map((d) => ({ ...d })),
			(entries, metadata) => {
				const tensors = new Map(entries);
				const bytes = encodeSafetensors(tensors, metadata);
				// Read from an odd place, as from the middle of a larger file.
				const odd = new Uint8Array(bytes.length + 1);
				odd.set(bytes, 1);
				const back = decodeSafetensors(odd.subarray(1));
				// Names that look like numbers change places in a JSON header.
				t.deepEqual(sorted(back.tensors), sorted(tensors));
				t.deepEqual(back.metadata, metadata);
			},
		),
	);
});

test("the layout is the format's own", (t) => {
	const bytes = encodeSafetensors(new Map([["w", floats([1, 2], [1, 2])]]), {
		a: "b",
	});
	const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
	t.is((8 + length) % 8, 0);
	t.deepEqual(
		JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))),
		{
			__metadata__: { a: "b" },
			w: { dtype: "F32", shape: [1, 2], data_offsets: [0, 8] },
		},
	);
	t.deepEqual(
		new Float32Array(bytes.slice(8 + length).buffer),
		Float32Array.of(1, 2),
	);
});

/** A file with this header and so many bytes of data. */
function file(header: unknown, data = 8): Uint8Array {
	const json = new TextEncoder().encode(
		typeof header === "string" ? header : JSON.stringify(header),
	);
	const out = new Uint8Array(8 + json.length + data);
	new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
	out.set(json, 8);
	return out;
}
const entry = (over: object) => ({
	w: { dtype: "F32", shape: [2], data_offsets: [0, 8], ...over },
});

const DAMAGED: Record<string, Uint8Array> = {
	"nothing at all": new Uint8Array(0),
	"cut in the length": new Uint8Array(7),
	"cut in the header": file(entry({})).subarray(0, 20),
	"cut in the data": file(entry({})).subarray(0, -1),
	"a length beyond all files": new Uint8Array(64).fill(255),
	"no JSON": file("{"),
	"a number for a header": file("5"),
	"null for a header": file("null"),
	"a list for a header": file([]),
	"an entry that is none": file({ w: 3 }),
	"metadata that is none": file({ __metadata__: 3 }),
	"an unknown element type": file(entry({ dtype: "F8" })),
	"a type from the prototype": file(entry({ dtype: "constructor" })),
	"no shape": file(entry({ shape: undefined })),
	"a negative size": file(entry({ shape: [-2] })),
	"two negative sizes": file(entry({ shape: [-1, -2] })),
	"a broken size": file(entry({ shape: [0.5, 4] })),
	"no offsets": file(entry({ data_offsets: undefined })),
	"one offset": file(entry({ data_offsets: [0] })),
	"offsets past the end": file(entry({ data_offsets: [4, 12] })),
	"offsets before the start": file(entry({ data_offsets: [-4, 4] })),
	"offsets that do not fit the shape": file(entry({ data_offsets: [0, 4] })),
	"offsets of text": file(entry({ data_offsets: ["0", "8"] })),
};

for (const [what, bytes] of Object.entries(DAMAGED))
	test(`refused: ${what}`, (t) => {
		t.throws(() => decodeSafetensors(bytes), { code: "E_FILE_FORMAT" });
	});

test("a file with any byte changed or cut is read or refused, never anything else", (t) => {
	const whole = encodeSafetensors(
		new Map([
			["w", floats([1, 2])],
			["b", floats([3])],
		]),
	);
	fc.assert(
		fc.property(
			fc.nat(whole.length - 1),
			fc.nat(255),
			fc.nat(whole.length),
			(at, byte, end) => {
				const bytes = whole.slice(0, end);
				if (at < end) bytes[at] = byte;
				try {
					decodeSafetensors(bytes);
				} catch (error) {
					t.like(error, { code: "E_FILE_FORMAT" });
				}
			},
		),
		{ numRuns: 400 },
	);
});
